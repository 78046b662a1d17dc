//! The reference of all commands, from the commands themselves.

use std::fmt::Write;
use std::path::Path;

use clap::{Command, CommandFactory};

use super::Cli;
use crate::failure::Failure;

/// Writes the reference.
pub(super) fn write(file: &Path) -> Result<(), Failure> {
    std::fs::write(file, text()).map_err(Failure::file(file))
}

/// The reference as Markdown.
fn text() -> String {
    let mut command = Cli::command().term_width(100);
    command.build();
    let mut text = "# Commands\n\nMade by `thingward docs`; a test keeps it current. \
                    What every command takes is under `thingward` only.\n"
        .to_owned();
    describe(&command, &mut Vec::new(), &mut text);
    text
}

fn describe(command: &Command, path: &mut Vec<String>, text: &mut String) {
    path.push(command.get_name().to_owned());
    let title = path.join(" ");
    // What every command takes is shown once, at the top.
    let is_root = path.len() == 1;
    let own =
        command.clone().mut_args(|arg| if arg.is_global_set() && !is_root { arg.hide(true) } else { arg });
    let help = own.bin_name(title.clone()).color(clap::ColorChoice::Never).render_long_help();
    let help: String = help.to_string().lines().map(|line| format!("{}\n", line.trim_end())).collect();
    let _ = write!(text, "\n## {title}\n\n```text\n{}\n```\n", help.trim_end());
    let shown = |c: &&Command| !c.is_hide_set() && c.get_name() != "help";
    for child in command.get_subcommands().filter(shown) {
        describe(child, path, text);
    }
    path.pop();
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    /// Set `THINGWARD_REFRESH_GOLDEN=1` to write it anew.
    #[test]
    fn the_reference_in_the_repository_is_current() {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
        if std::env::var_os("THINGWARD_REFRESH_GOLDEN").is_some() {
            super::write(&path).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == super::text(), "docs/cli.md is old; run again with THINGWARD_REFRESH_GOLDEN=1");
    }
}

//! Policy files: bounded, parsed, checked against the schema.

use std::collections::HashMap;
use std::fmt;

use cedar_policy::{
    ActionConstraint, EntityTypeName, EntityUid, Policy, PolicyId, PolicySet, PrincipalConstraint,
    ValidationMode, Validator,
};
use miette::Diagnostic;

use crate::schema::{BASELINE_FILE, schema};
use crate::subject::UserRole;
use crate::weak::{self, JOIN_WEAKLY};

/// Most files of a tenant.
pub const FILES_MAX: usize = 32;
/// Most bytes of all of them.
pub const BYTES_MAX: usize = 192 * 1024;
/// Most policies in all of them.
const POLICIES_MAX: usize = 1000;
/// Most bytes of one policy, with its comments.
const POLICY_BYTES_MAX: usize = 8 * 1024;
/// Most brackets inside each other.
const NESTING_MAX: usize = 24;
/// Most characters of a file's name.
const FILE_NAME_MAX: usize = 64;
/// Most problems that are told at once.
const PROBLEMS_MAX: usize = 20;

/// A file of policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyFile {
    /// Its name, as `night-shift.cedar`.
    pub name: String,
    /// What is in it.
    pub text: String,
}

/// Something that is wrong with policy files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// In which file; empty when it is about all of them.
    pub file: String,
    /// On which line, from 1; 0 when it is about the whole file.
    pub line: usize,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.file.as_str(), self.line) {
            ("", _) => f.write_str(&self.message),
            (file, 0) => write!(f, "{file}: {}", self.message),
            (file, line) => write!(f, "{file}:{line}: {}", self.message),
        }
    }
}

/// Everything that is wrong with policy files, up to twenty problems.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Problems(pub Vec<Problem>);

/// Where a policy is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// In which file.
    pub file: String,
    /// On which line its text starts, from 1.
    pub line: usize,
    /// As it was written.
    pub text: String,
}

/// Policies that passed every check.
#[derive(Debug, Clone, Default)]
pub struct Source {
    policies: Vec<Policy>,
    places: HashMap<PolicyId, Place>,
}

impl Source {
    /// Reads and checks files. An answer of Cedar names a policy by its file and its `@id`, or its number there.
    ///
    /// # Errors
    ///
    /// [`Problems`].
    pub fn new(files: &[PolicyFile]) -> Result<Self, Problems> {
        if files.iter().any(|file| file.name == BASELINE_FILE) {
            let message = "every tenant has one already; choose another name".to_owned();
            return Err(Problems(vec![Problem { file: BASELINE_FILE.to_owned(), line: 0, message }]));
        }
        Self::of(files)
    }

    /// As [`Self::new`], also of the baseline.
    pub(crate) fn of(files: &[PolicyFile]) -> Result<Self, Problems> {
        let about_all = |message: String| Problems(vec![Problem { file: String::new(), line: 0, message }]);
        if files.len() > FILES_MAX {
            return Err(about_all(format!(
                "{} files are more than the {FILES_MAX} that a tenant may have",
                files.len()
            )));
        }
        let bytes: usize = files.iter().map(|f| f.text.len()).sum();
        if bytes > BYTES_MAX {
            return Err(about_all(format!(
                "{bytes} bytes are more than the {BYTES_MAX} that all files may have"
            )));
        }
        let mut source = Self::default();
        let mut problems = Vec::new();
        for (n, file) in files.iter().enumerate() {
            let is_twice = files.iter().take(n).any(|other| other.name == file.name);
            match check_name(&file.name) {
                Err(message) => problems.push(Problem { file: file.name.clone(), line: 0, message }),
                Ok(()) if is_twice => {
                    problems.push(Problem {
                        file: file.name.clone(),
                        line: 0,
                        message: "is there twice".to_owned(),
                    });
                }
                Ok(()) => source.read(file, &mut problems),
            }
        }
        if source.policies.len() > POLICIES_MAX {
            let found = source.policies.len();
            return Err(about_all(format!(
                "{found} policies are more than the {POLICIES_MAX} that a tenant may have"
            )));
        }
        if problems.is_empty() {
            problems = source.validate();
        }
        problems.truncate(PROBLEMS_MAX);
        if problems.is_empty() { Ok(source) } else { Err(Problems(problems)) }
    }

    fn read(&mut self, file: &PolicyFile, problems: &mut Vec<Problem>) {
        let statements = match statements(&file.text) {
            Ok(statements) => statements,
            Err((line, message)) => {
                problems.push(Problem { file: file.name.clone(), line, message });
                return;
            }
        };
        for (number, Statement { line, text }) in statements.into_iter().enumerate() {
            let problem = |line, message| Problem { file: file.name.clone(), line, message };
            let policy = match Policy::parse(None, text) {
                Ok(policy) => policy,
                Err(errors) => {
                    problems
                        .extend(errors.iter().map(|e| problem(line + lines_before(text, e), sentence(e))));
                    continue;
                }
            };
            let name = policy.annotation("id").map_or_else(|| (number + 1).to_string(), str::to_owned);
            let id = PolicyId::new(format!("{}#{name}", file.name));
            let place = Place { file: file.name.clone(), line, text: text.to_owned() };
            if self.places.insert(id.clone(), place).is_some() {
                problems.push(problem(line, format!("a policy before it has the id {name:?} too")));
                continue;
            }
            self.policies.push(policy.new_id(id));
        }
    }

    fn validate(&self) -> Vec<Problem> {
        let set = match PolicySet::from_policies(self.policies.iter().cloned()) {
            Ok(set) => set,
            Err(e) => return vec![Problem { file: String::new(), line: 0, message: e.to_string() }],
        };
        let result = Validator::new(schema().clone()).validate(&set, ValidationMode::Strict);
        let problem = |id: &PolicyId, message: String| {
            let place = self.places.get(id);
            let (file, line) = place.map_or((String::new(), 0), |p| (p.file.clone(), p.line));
            Problem { file, line, message }
        };
        let errors = result.validation_errors().map(|e| problem(e.policy_id(), sentence(e)));
        // A policy that can never apply is a mistake that only shows when it is needed.
        let warnings = result.validation_warnings().map(|w| problem(w.policy_id(), sentence(w)));
        let vague = self.policies.iter().filter_map(|p| Some(problem(p.id(), weak::problem(p)?)));
        let mut problems: Vec<Problem> = errors.chain(warnings).chain(vague).collect();
        problems.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
        problems
    }

    /// Its policies.
    pub fn policies(&self) -> impl Iterator<Item = &Policy> {
        self.policies.iter()
    }

    /// The policies that can have a say where no people are: those whose scope is neither people nor what only people do. In
    /// files of the same names.
    #[must_use]
    pub(crate) fn without_people(&self) -> Vec<PolicyFile> {
        let mut files: Vec<PolicyFile> = Vec::new();
        for policy in self.policies.iter().filter(|policy| !is_about_people(policy)) {
            let Some(place) = self.places.get(policy.id()) else { continue };
            if files.last().is_none_or(|file| file.name != place.file) {
                files.push(PolicyFile { name: place.file.clone(), text: String::new() });
            }
            let Some(file) = files.last_mut() else { continue };
            // One without a name is named by its number, which is another there.
            if policy.annotation("id").is_none() {
                let id = policy.id().to_string();
                let number = id.rsplit('#').next().unwrap_or_default();
                file.text.extend(["@id(\"", number, "\")\n"]);
            }
            file.text.extend([&place.text, "\n"]);
        }
        files
    }

    /// Where a policy is.
    #[must_use]
    pub fn place(&self, id: &PolicyId) -> Option<&Place> {
        self.places.get(id)
    }
}

/// What is asked where no people are.
const ELSEWHERE: [&str; 3] = ["readings:read", "commands:send", JOIN_WEAKLY];

fn is_about_people(policy: &Policy) -> bool {
    use PrincipalConstraint as P;
    let is_person = |kind: &EntityTypeName| matches!(kind.basename(), "User" | "Token" | "Operator");
    let of_person = |uid: &EntityUid| {
        let is_role = uid.type_name().basename() == "Role";
        is_person(uid.type_name()) || (is_role && uid.id().unescaped().parse::<UserRole>().is_ok())
    };
    let by_people = match policy.principal_constraint() {
        P::Any => false,
        P::Is(kind) => is_person(&kind),
        P::Eq(uid) | P::In(uid) => of_person(&uid),
        P::IsIn(kind, uid) => is_person(&kind) || of_person(&uid),
    };
    let is_asked = |action: &EntityUid| ELSEWHERE.contains(&action.id().unescaped());
    let by_action = match policy.action_constraint() {
        ActionConstraint::Any => false,
        ActionConstraint::Eq(action) => !is_asked(&action),
        ActionConstraint::In(actions) => !actions.iter().any(is_asked),
    };
    by_people || by_action
}

fn check_name(name: &str) -> Result<(), String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let is_good = name.len() <= FILE_NAME_MAX
        && name.strip_suffix(".cedar").is_some_and(|stem| !stem.is_empty())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(is_plain);
    let wanted = format!("is not a name like `night-shift.cedar` with up to {FILE_NAME_MAX} characters");
    if is_good { Ok(()) } else { Err(wanted) }
}

/// What Cedar says, with its advice.
fn sentence(error: &(impl Diagnostic + ?Sized)) -> String {
    match error.help() {
        Some(help) => format!("{error}; {help}"),
        None => error.to_string(),
    }
}

/// How many lines of the text stand before the place that the error is about.
fn lines_before(text: &str, error: &impl Diagnostic) -> usize {
    let label = error.labels().and_then(|mut labels| labels.next());
    let before = label.and_then(|label| text.get(..label.offset()));
    before.map_or(0, |before| before.matches('\n').count())
}

/// One policy as text.
struct Statement<'a> {
    line: usize,
    text: &'a str,
}

/// Cuts a file at the semicolons that end policies, and refuses what Cedar's parser would need a deep stack for.
fn statements(text: &str) -> Result<Vec<Statement<'_>>, (usize, String)> {
    let mut found = Vec::new();
    let (mut depth, mut line) = (0_usize, 1);
    let (mut start, mut start_line) = (None, 1);
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let is_comment = c == '/' && chars.peek().is_some_and(|(_, next)| *next == '/');
        if start.is_none() && !c.is_whitespace() && !is_comment {
            (start, start_line) = (Some(at), line);
        }
        match c {
            '\n' => line += 1,
            '/' if is_comment => while chars.next_if(|(_, c)| *c != '\n').is_some() {},
            '"' => line += skip_string(&mut chars),
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            ';' if depth == 0 => {
                let policy = text.get(start.unwrap_or(at)..=at).unwrap_or_default();
                found.push(Statement { line: start_line, text: policy });
                start = None;
            }
            _ => {}
        }
        if depth > NESTING_MAX {
            return Err((line, format!("more than {NESTING_MAX} brackets are inside each other")));
        }
        if start.is_some_and(|start| at - start > POLICY_BYTES_MAX) {
            return Err((start_line, format!("the policy has more than {POLICY_BYTES_MAX} bytes")));
        }
    }
    if let Some(rest) = start.and_then(|start| text.get(start..)) {
        found.push(Statement { line: start_line, text: rest });
    }
    Ok(found)
}

/// To the end of a string, and how many lines it had.
fn skip_string(chars: &mut std::iter::Peekable<std::str::CharIndices<'_>>) -> usize {
    let mut lines = 0;
    while let Some((_, c)) = chars.next() {
        match c {
            '\\' => drop(chars.next()),
            '"' => break,
            '\n' => lines += 1,
            _ => {}
        }
    }
    lines
}

#[cfg(test)]
mod tests;

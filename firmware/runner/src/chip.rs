//! The chips: how to build for them and how to emulate them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::calls::with_arguments_on_stack;
use crate::image::Image;
use crate::output::Output;
use crate::wycheproof;

/// The workspace of the firmware.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".."))
}

fn compiler() -> PathBuf {
    workspace().join("../.firmware/rustc/bin/rustc")
}

/// A file with the compiler's target of that name, but for the frame pointers: they take flash, and one of few registers.
fn without_frame_pointers(target: &str) -> Result<PathBuf> {
    let mut rustc = Command::new(compiler());
    rustc.args(["-Zunstable-options", "--print", "target-spec-json", "--target", target]);
    let printed = rustc.env("RUSTC_BOOTSTRAP", "1").output()?;
    let mut specification: serde_json::Value = serde_json::from_slice(&printed.stdout)?;
    specification["frame-pointer"] = "may-omit".into();
    let file = workspace().join("target").join(target).with_extension("json");
    fs::write(&file, specification.to_string())?;
    Ok(file)
}

/// Short calls and jumps where they reach, nothing kept in registers that an AVR does not have, and the C library's routines
/// for moving memory, which are found first and take a tenth of the compiler's.
const SMALL_ON_AVR: &str = "-Clink-arg=-Wl,--relax -Cllvm-args=-disable-machine-licm \
    -Zpre-link-args=-Wl,-u,memcpy,-u,memmove,-u,memset,-u,memcmp -Zpre-link-arg=-lc";

pub(crate) struct Chip {
    pub(crate) name: &'static str,
    /// The clock that times are given for.
    pub(crate) megahertz: u32,
    /// Of the chip, or for a core the most that an image may take.
    pub(crate) flash_bytes: u32,
    pub(crate) ram_bytes: u32,
    /// What the compiler gets wrong, so that nothing for this chip may use it.
    pub(crate) compiler_faults: &'static [&'static str],
    kind: Kind,
}

enum Kind {
    /// `simavr` with this part.
    Avr { part: &'static str },
    /// QEMU with this board and model of cycles.
    CortexM { target: &'static str, board: &'static str, core: &'static str },
}

pub(crate) const ALL: [Chip; 5] = [
    Chip {
        name: "ATmega328P",
        megahertz: 16,
        flash_bytes: 32 << 10,
        ram_bytes: 2 << 10,
        compiler_faults: &["u128.add1", "u128.sub1", "u128.addc"],
        kind: Kind::Avr { part: "atmega328p" },
    },
    Chip {
        name: "ATmega1284P",
        megahertz: 16,
        flash_bytes: 128 << 10,
        ram_bytes: 16 << 10,
        compiler_faults: &["u128.add1", "u128.sub1", "u128.addc"],
        kind: Kind::Avr { part: "atmega1284p" },
    },
    Chip {
        name: "ATmega2560",
        megahertz: 16,
        flash_bytes: 256 << 10,
        ram_bytes: 8 << 10,
        compiler_faults: &[
            "u128.add1",
            "u128.sub1",
            "u128.addc",
            "u128.div",
            "u128.rem",
            "i128.divs",
            "u128.div10",
        ],
        kind: Kind::Avr { part: "atmega2560" },
    },
    Chip {
        name: "Cortex-M0",
        megahertz: 48,
        flash_bytes: 64 << 10,
        ram_bytes: 12 << 10,
        compiler_faults: &[],
        kind: Kind::CortexM { target: "thumbv6m-none-eabi", board: "microbit", core: "m0" },
    },
    Chip {
        name: "Cortex-M4",
        megahertz: 64,
        flash_bytes: 256 << 10,
        ram_bytes: 32 << 10,
        compiler_faults: &[],
        kind: Kind::CortexM { target: "thumbv7em-none-eabi", board: "mps2-an386", core: "m4" },
    },
];

/// What an image takes before it runs, in bytes.
pub(crate) struct Size {
    pub(crate) flash: u32,
    pub(crate) ram: u32,
}

impl Chip {
    pub(crate) const fn is_avr(&self) -> bool {
        matches!(self.kind, Kind::Avr { .. })
    }

    /// Whether a call pushes three bytes, which LLVM takes for two: see [`calls`](crate::calls).
    const fn pushes_three_bytes(&self) -> bool {
        self.is_avr() && self.flash_bytes > 128 << 10
    }

    /// Functions of an image that read their arguments from the wrong place.
    pub(crate) fn misread_functions(&self, image: &str) -> Result<Vec<String>> {
        if self.pushes_three_bytes() { with_arguments_on_stack(&self.file(image)) } else { Ok(Vec::new()) }
    }

    /// Builds the images at the optimisation level that ships. What signs or verifies is built apart, so that nothing of
    /// that gets into the others.
    pub(crate) fn build(&self, images: &[&Image]) -> Result<()> {
        for signs in [false, true] {
            let of_these = images.iter().filter(|image| image.signs == signs).map(|image| image.name);
            let features: &[&str] = if signs { &["--features", "signatures"] } else { &[] };
            self.build_with(features, of_these)?;
        }
        Ok(())
    }

    fn build_with(&self, features: &[&str], images: impl Iterator<Item = &'static str>) -> Result<()> {
        let bins: Vec<_> = images.flat_map(|image| ["--bin", image]).collect();
        if bins.is_empty() {
            return Ok(());
        }
        // What a panic would say takes flash and RAM, and it says nothing here.
        let silent = "-Zunstable-options -Cpanic=immediate-abort";
        let (target, flags) = match self.kind {
            Kind::Avr { part } => {
                let mut flags = format!("-Ctarget-cpu={part} -Clink-arg=-mmcu={part} {SMALL_ON_AVR}");
                if self.pushes_three_bytes() {
                    flags += " -Cllvm-args=-opt-disable=argpromotion";
                }
                ("avr-none", flags)
            }
            Kind::CortexM { target, .. } => {
                let script = workspace().join("emulators/cortex-m.ld");
                let linker = "-Clinker=arm-none-eabi-ld -Clinker-flavor=ld -Clink-arg=--gc-sections";
                let ram = format!("-Clink-arg=--defsym=ram_bytes={}", self.ram_bytes);
                (target, format!("{linker} {ram} -Clink-arg=-T{}", script.display()))
            }
        };
        let target: PathBuf = if self.is_avr() { target.into() } else { without_frame_pointers(target)? };
        let mut cargo = Command::new("cargo");
        cargo
            .args([
                "build",
                "--quiet",
                "--release",
                "--locked",
                "-Zbuild-std=core",
                "-Zjson-target-spec",
                "--package",
                "thingward-images",
            ])
            .arg("--target")
            .arg(target)
            .arg("--target-dir")
            .arg(self.target_dir())
            .current_dir(workspace())
            .env("RUSTC", compiler())
            // Lets a stable compiler build its core library and take assembly for AVR.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTFLAGS", format!("{silent} {flags}"))
            .env("THINGWARD_WYCHEPROOF", wycheproof::folder())
            // Not each time that this linker needs no -no-pie.
            .env("RUSTC_LOG", "error");
        match cargo.args(features).args(bins).status()? {
            status if status.success() => Ok(()),
            _ => Err(format!("the images for {} do not build", self.name).into()),
        }
    }

    pub(crate) fn run(&self, image: &str) -> Result<Output> {
        let output = self.emulator(image).output()?;
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text += &String::from_utf8_lossy(&output.stderr);
        Output::parse(&text, output.status.success())
    }

    /// The chip with an image in its flash.
    pub(crate) fn emulator(&self, image: &str) -> Command {
        let file = self.file(image);
        let emulators = workspace().join("target");
        match self.kind {
            Kind::Avr { part } => {
                let mut simavr = Command::new(emulators.join("emulate-avr"));
                simavr.arg(part).arg(file);
                simavr
            }
            Kind::CortexM { board, core, .. } => {
                let mut qemu = Command::new("qemu-system-arm");
                qemu.args(["-machine", board, "-display", "none"])
                    .args(["-semihosting-config", "enable=on,target=native"])
                    .arg("-plugin")
                    .arg(format!("{},core={core}", emulators.join("emulate-cortex-m.so").display()))
                    .arg("-device")
                    .arg(format!("loader,file={}", file.display()));
                qemu
            }
        }
    }

    /// The same, with its serial ports and a monitor as sockets `line`, `alarm` and `monitor` where it runs.
    pub(crate) fn connected(&self, image: &str) -> Command {
        let mut emulator = self.emulator(image);
        if self.is_avr() {
            emulator.arg("connected");
            return emulator;
        }
        for (what, socket) in [("-serial", "line"), ("-serial", "alarm"), ("-monitor", "monitor")] {
            emulator.args([what, &format!("unix:{socket},server=on,wait=off")]);
        }
        emulator
    }

    pub(crate) fn size(&self, image: &str) -> Result<Size> {
        let tool = if self.is_avr() { "avr-size" } else { "arm-none-eabi-size" };
        let output = Command::new(tool).arg(self.file(image)).output()?;
        let text = String::from_utf8(output.stdout)?;
        let numbers = text.lines().nth(1).ok_or("no sizes")?.split_whitespace().take(3).map(str::parse);
        let [code, data, zeroed] =
            numbers.collect::<Result<Vec<u32>, _>>()?.try_into().map_err(|_| "no sizes")?;
        Ok(Size { flash: code + data, ram: data + zeroed })
    }

    /// Parts do not share a core library, so each has a folder of its own.
    fn target_dir(&self) -> PathBuf {
        workspace().join("target").join(self.name)
    }

    pub(crate) fn file(&self, image: &str) -> PathBuf {
        let (target, suffix) = match self.kind {
            Kind::Avr { .. } => ("avr-none", ".elf"),
            Kind::CortexM { target, .. } => (target, ""),
        };
        self.target_dir().join(target).join("release").join(format!("{image}{suffix}"))
    }
}

//! Functions that take arguments off the stack, in what was built for an AVR with more than 128 KB of flash.
//!
//! There a call pushes three bytes, and LLVM counts two: such a function reads each of these arguments one byte off. Images
//! for these chips are built without the optimisation that makes most of them; here is seen that no other is left.

use std::path::Path;
use std::process::Command;

use crate::Result;

/// Their names.
pub(crate) fn with_arguments_on_stack(file: &Path) -> Result<Vec<String>> {
    let output = Command::new("avr-objdump").args(["-d", "--no-show-raw-insn"]).arg(file).output()?;
    Ok(find(&String::from_utf8(output.stdout)?))
}

fn find(listing: &str) -> Vec<String> {
    let functions = listing.split("\n\n").filter_map(|function| function.split_once(">:\n"));
    let found = functions.filter(|(_, code)| reads_beyond_frame(code));
    found.filter_map(|(head, _)| Some(head.split_once('<')?.1.to_owned())).collect()
}

/// Whether a function reaches further up from its frame, to which Y points, than the registers that it saved.
fn reads_beyond_frame(code: &str) -> bool {
    let mut code = code.lines().filter_map(instruction).peekable();
    let mut saved = 0;
    while code.next_if(|(name, _)| *name == "push").is_some() {
        saved += 1;
    }
    if !code.next().is_some_and(|(name, operands)| name == "in" && operands == ["r28", "0x3d"]) {
        return false;
    }
    let (mut frame, mut offset) = (None, 0_i16);
    code.any(|(name, operands)| {
        match (name, &operands[..]) {
            ("adiw", ["r28", by]) => offset = offset.wrapping_add(number(by)),
            ("sbiw" | "subi", ["r28", by]) => offset = offset.wrapping_sub(number(by)),
            ("sbci", ["r29", by]) => offset = offset.wrapping_sub(number(by) << 8),
            // Y moves once for the frame, then for one access at a time, and the flags are saved each time.
            ("in", [_, "0x3f"]) => {
                frame.get_or_insert(-offset);
                offset = 0;
            }
            _ => {}
        }
        let at = operands.iter().find_map(|operand| operand.strip_prefix("Y+"));
        at.is_some_and(|at| offset + number(at) > frame.unwrap_or(0) + saved)
    })
}

/// Name and operands of a line, which has an address in front and a remark behind, and tabs between.
fn instruction(line: &str) -> Option<(&str, Vec<&str>)> {
    let mut columns = line.split('\t').skip(1);
    Some((columns.next()?.trim(), columns.next().unwrap_or("").trim().split(", ").collect()))
}

fn number(text: &str) -> i16 {
    let parsed = text.strip_prefix("0x").map_or_else(|| text.parse(), |hex| i16::from_str_radix(hex, 16));
    parsed.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: &str = "\
00000100 <good>:
     100:\tpush\tr28
     102:\tpush\tr29
     104:\tin\tr28, 0x3d\t; 61
     106:\tin\tr29, 0x3e\t; 62
     108:\tsubi\tr28, 0x2C\t; 44
     10a:\tsbci\tr29, 0x01\t; 1
     10c:\tin\tr0, 0x3f\t; 63
     10e:\tout\t0x3d, r28\t; 61
     110:\tin\tr0, 0x3f\t; 63
     112:\tsubi\tr28, 0x10\t; 16
     114:\tsbci\tr29, 0xFF\t; 255
     116:\tldd\tr24, Y+62\t; 0x3e
     118:\tsubi\tr28, 0xF0\t; 240
     11a:\tsbci\tr29, 0x00\t; 0
     11c:\tout\t0x3f, r0\t; 63

00000200 <bad>:
     200:\tpush\tr28
     202:\tpush\tr29
     204:\tin\tr28, 0x3d\t; 61
     206:\tin\tr29, 0x3e\t; 62
     208:\tsbiw\tr28, 0x10\t; 16
     20a:\tin\tr0, 0x3f\t; 63
     20c:\tout\t0x3d, r28\t; 61
     20e:\tldd\tr24, Y+21\t; 0x15

00000300 <leaf>:
     300:\tldd\tr24, Y+62\t; 0x3e
     302:\tret
";

    #[test]
    fn a_function_that_reads_above_its_frame_and_saved_registers_is_found() {
        assert_eq!(find(LISTING), ["bad"]);
    }
}

//! A program beside a device that does what the device is told.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::{Value as Json, json};

/// What a program beside a device was told to do, in order.
pub(crate) type Told = Arc<Mutex<Vec<Json>>>;

/// Does everything it is told, for as long as the device runs.
pub(crate) fn execute(socket: &Path, told: &Told) {
    let (stream, told) = (UnixStream::connect(socket).unwrap(), Arc::clone(told));
    std::thread::spawn(move || {
        let mut write = stream.try_clone().unwrap();
        let mut lines = BufReader::new(stream).lines();
        let mut say = |line: Json| writeln!(write, "{line}").is_ok();
        while say(json!({"next_action": true})) {
            let Some(Ok(line)) = lines.next() else { return };
            let action = serde_json::from_str::<Json>(&line).unwrap()["action"].clone();
            told.lock().unwrap().push(action["input"].clone());
            if !say(json!({"done": action["id"], "output": {"rate": action["input"]}})) {
                return;
            }
            let _answered = lines.next();
        }
    });
}

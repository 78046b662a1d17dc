use super::{devices, objects};
use crate::table::lines;

#[test]
fn every_line_of_the_data_files_is_read() {
    for line in lines(objects::FILE) {
        let fields: Vec<_> = line.take(8).collect();
        assert!(objects::parse(fields.iter().copied()).is_some(), "{fields:?}");
    }
    for line in lines(devices::FILE) {
        let fields: Vec<_> = line.take(5).collect();
        assert!(devices::parse(fields.iter().copied()).is_some(), "{fields:?}");
    }
}

use super::objects;
use crate::table::lines;

#[test]
fn every_line_of_the_data_file_is_read() {
    for line in lines(objects::FILE) {
        let fields: Vec<_> = line.take(6).collect();
        assert!(objects::parse(fields.iter().copied()).is_some(), "{fields:?}");
    }
}

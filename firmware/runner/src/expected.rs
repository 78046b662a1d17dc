//! What the chips have to come to, computed on this machine.

/// Names and values, in the order in which the image prints them.
pub(crate) type Expected = Vec<(String, String)>;

pub(crate) fn arithmetic(image: &str) -> Expected {
    let mut expected = Expected::new();
    let parts = thingward_arithmetic::PARTS.iter();
    for (_, test) in parts.filter(|(part, _)| image.strip_prefix("arithmetic-") == Some(part)) {
        test(&mut |name, digest| expected.push((name.to_owned(), hex(&digest))));
    }
    expected
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

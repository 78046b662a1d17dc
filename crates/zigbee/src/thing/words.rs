//! The lines of `data/words.csv`: words for the numbers of enumerations, the same as of other radios where the meaning is the
//! same.

use std::sync::LazyLock;

/// An attribute: its cluster and number.
pub(super) type Enumeration = (u16, u16);

/// The words of an enumeration.
pub(super) fn words(of: Enumeration) -> impl Iterator<Item = &'static str> {
    lines(of).map(|(_, word)| word)
}

/// The word for a number.
pub(super) fn word(of: Enumeration, number: i128) -> Option<&'static str> {
    lines(of).find(|(known, _)| *known == number).map(|(_, word)| word)
}

/// The number for a word.
pub(super) fn number(of: Enumeration, word: &str) -> Option<i128> {
    lines(of).find(|(_, known)| *known == word).map(|(number, _)| number)
}

fn lines(of: Enumeration) -> impl Iterator<Item = (i128, &'static str)> {
    LINES.iter().filter(move |(known, ..)| *known == of).map(|(_, number, word)| (*number, *word))
}

const TEXT: &str = include_str!("../../data/words.csv");

static LINES: LazyLock<Vec<(Enumeration, i128, &'static str)>> =
    LazyLock::new(|| TEXT.lines().skip(1).filter_map(line).collect());

fn line(text: &'static str) -> Option<(Enumeration, i128, &'static str)> {
    let mut columns = text.split(',');
    let mut number = || u16::from_str_radix(columns.next()?.strip_prefix("0x")?, 16).ok();
    let (of, number) = ((number()?, number()?), number()?);
    Some((of, number.into(), columns.next()?))
}

#[cfg(test)]
mod tests {
    use super::super::table::{self, Conversion};

    #[test]
    fn every_word_of_the_table_is_one_of_a_line_of_things_and_stands_for_one_number() {
        assert_eq!(super::LINES.len(), super::TEXT.lines().skip(1).count());
        for (of, number, word) in super::LINES.iter() {
            assert!(table::lines().any(|line| line.conversion == Conversion::Word(*of)), "{word}");
            assert_eq!((super::word(*of, *number), super::number(*of, word)), (Some(*word), Some(*number)));
        }
    }
}

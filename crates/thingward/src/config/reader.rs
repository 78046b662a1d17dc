//! A TOML document that is read section by section and collects every problem with its line.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// A value with its place in the text.
type Entry<'a> = (Range<usize>, DeValue<'a>);

/// Reads sections and collects what is wrong with them.
pub(super) struct Reader<'a> {
    name: &'a str,
    text: &'a str,
    /// Of the whole document, by key.
    root: BTreeMap<String, Entry<'a>>,
    problems: Vec<(usize, String)>,
}

/// What a key wants, and what would be right, as `an address` and `"0.0.0.0:8883"`.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    pub(super) what: &'static str,
    pub(super) example: &'static str,
}

/// One section of the document. What is not asked for is a problem at the end.
pub(super) struct Section<'a> {
    path: String,
    /// Where it begins.
    at: usize,
    entries: BTreeMap<String, Entry<'a>>,
    known: Vec<&'static str>,
}

impl<'a> Reader<'a> {
    /// `name` stands before each problem.
    pub(super) fn new(name: &'a str, text: &'a str) -> Result<Self, Vec<String>> {
        let (root, errors) = DeTable::parse_recoverable(text);
        if errors.is_empty() {
            Ok(Self { name, text, root: entries(root.into_inner()), problems: Vec::new() })
        } else {
            let line = |e: &toml::de::Error| line_of(text, e.span().map_or(0, |s| s.start));
            Err(errors.iter().map(|e| format!("{name}:{}: {}", line(e), e.message())).collect())
        }
    }

    /// The section of this name; an empty one when it is not there.
    pub(super) fn section(&mut self, name: &'static str) -> Section<'a> {
        let entry = self.root.remove(name);
        self.open(name.to_owned(), entry)
    }

    /// The section of this name, when it is there.
    pub(super) fn optional_section(&mut self, name: &'static str) -> Option<Section<'a>> {
        self.root.contains_key(name).then(|| self.section(name))
    }

    /// A section inside another.
    pub(super) fn subsection(&mut self, parent: &mut Section<'a>, name: &'static str) -> Section<'a> {
        parent.known.push(name);
        let entry = parent.entries.remove(name);
        self.open(format!("{}.{name}", parent.path), entry)
    }

    /// A section inside another, when it is there.
    pub(super) fn optional(&mut self, parent: &mut Section<'a>, name: &'static str) -> Option<Section<'a>> {
        if parent.entries.contains_key(name) {
            return Some(self.subsection(parent, name));
        }
        parent.known.push(name);
        None
    }

    /// All sections inside another that has nothing else, at most `max`, each with what `parse` makes of its name.
    pub(super) fn sections<K>(
        &mut self,
        parent: Section<'a>,
        max: usize,
        parse: impl Fn(&str) -> Option<K>,
    ) -> Vec<(K, Section<'a>)> {
        if parent.entries.len() > max {
            self.problems.push((parent.at, format!("{}: there are more than {max}", parent.path)));
        }
        let mut all = Vec::new();
        for (name, entry) in parent.entries {
            match parse(&name) {
                Some(key) => all.push((key, self.open(format!("{}.{name}", parent.path), Some(entry)))),
                None => {
                    self.problems.push((entry.0.start, format!("{}: {name:?} is not a name", parent.path)))
                }
            }
        }
        all
    }

    fn open(&mut self, path: String, entry: Option<Entry<'a>>) -> Section<'a> {
        let at = entry.as_ref().map_or(0, |(span, _)| span.start);
        let entries = match entry {
            None => BTreeMap::new(),
            Some((_, DeValue::Table(table))) => entries(table),
            Some((span, _)) => {
                self.problems.push((span.start, format!("{path}: is not a section; write [{path}]")));
                BTreeMap::new()
            }
        };
        Section { path, at, entries, known: Vec::new() }
    }

    /// A text value through `parse`, or `default` when there is none or it is wrong.
    pub(super) fn text<T>(
        &mut self,
        section: &mut Section<'a>,
        key: &'static str,
        wanted: Wanted,
        default: T,
        parse: impl Fn(&str) -> Option<T>,
    ) -> T {
        self.value(section, key, wanted, default, |value| parse(value.as_str()?))
    }

    /// A text value that has to be there, through `parse`.
    pub(super) fn needed<T>(
        &mut self,
        section: &mut Section<'a>,
        key: &'static str,
        wanted: Wanted,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        self.require(section, key, wanted);
        self.text(section, key, wanted, None, |text| parse(text).map(Some))
    }

    /// A key has to be there.
    pub(super) fn require(&mut self, section: &Section<'a>, key: &'static str, wanted: Wanted) {
        if !section.entries.contains_key(key) {
            let text = format!("{}.{key}: is missing; write e.g. {}", section.path, wanted.example);
            self.problems.push((section.at, text));
        }
    }

    /// A list of texts through `parse`.
    pub(super) fn texts<T>(
        &mut self,
        section: &mut Section<'a>,
        key: &'static str,
        wanted: Wanted,
        default: Vec<T>,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Vec<T> {
        self.value(section, key, wanted, default, |value| {
            value.as_array()?.iter().map(|item| parse(item.get_ref().as_str()?)).collect()
        })
    }

    /// A whole number from `min` to `max`.
    pub(super) fn number<T>(
        &mut self,
        section: &mut Section<'a>,
        key: &'static str,
        wanted: Wanted,
        default: T,
        range: std::ops::RangeInclusive<T>,
    ) -> T
    where
        T: TryFrom<u64> + PartialOrd,
    {
        self.value(section, key, wanted, default, |value| {
            // The document's number may be in another base; TOML's own reading of it decides.
            let DeValue::Integer(number) = value else { return None };
            let number = u64::from_str_radix(number.as_str(), number.radix()).ok()?;
            T::try_from(number).ok().filter(|n| range.contains(n))
        })
    }

    /// All keys that are left in a section, each through `parse`.
    pub(super) fn rest<K: Ord, T>(
        &mut self,
        section: &mut Section<'a>,
        wanted: Wanted,
        parse: impl Fn(&str, &str) -> Option<(K, T)>,
    ) -> BTreeMap<K, T> {
        let mut all = BTreeMap::new();
        for (key, (span, value)) in std::mem::take(&mut section.entries) {
            match value.as_str().and_then(|text| parse(&key, text)) {
                Some((key, value)) => drop(all.insert(key, value)),
                None => self.wrong(&section.path, &key, span, wanted),
            }
        }
        all
    }

    fn value<T>(
        &mut self,
        section: &mut Section<'a>,
        key: &'static str,
        wanted: Wanted,
        default: T,
        parse: impl Fn(&DeValue<'a>) -> Option<T>,
    ) -> T {
        section.known.push(key);
        let Some((span, value)) = section.entries.remove(key) else { return default };
        parse(&value).unwrap_or_else(|| {
            self.wrong(&section.path, key, span, wanted);
            default
        })
    }

    fn wrong(&mut self, path: &str, key: &str, span: Range<usize>, wanted: Wanted) {
        let written = self.text.get(span.clone()).unwrap_or_default();
        let written: String =
            written.chars().map(|c| if c.is_control() { ' ' } else { c }).take(80).collect();
        let Wanted { what, example } = wanted;
        self.problems
            .push((span.start, format!("{path}.{key}: {written} is not {what}; write e.g. {example}")));
    }

    /// Ends a section: keys that nobody asked for are problems.
    pub(super) fn close(&mut self, section: Section<'a>) {
        for (key, (span, _)) in section.entries {
            let known = section.known.join(", ");
            self.problems.push((
                span.start,
                format!("{}.{key}: there is no such key; there are {known}", section.path),
            ));
        }
    }

    /// Every problem, in the order of the lines.
    pub(super) fn finish(mut self) -> Result<(), Vec<String>> {
        for (key, (span, _)) in std::mem::take(&mut self.root) {
            let text = format!(
                "{key}: there is no such section; there are [service], [gateway], [device], [witness]"
            );
            self.problems.push((span.start, text));
        }
        self.problems.sort();
        let line =
            |(at, text): &(usize, String)| format!("{}:{}: {text}", self.name, line_of(self.text, *at));
        let all: Vec<String> = self.problems.iter().map(line).collect();
        if all.is_empty() { Ok(()) } else { Err(all) }
    }
}

fn entries(table: DeTable<'_>) -> BTreeMap<String, Entry<'_>> {
    let keyed = table.into_iter();
    keyed.map(|(key, value)| (key.into_inner().into_owned(), (value.span(), value.into_inner()))).collect()
}

fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|b| *b == b'\n').count() + 1
}

//! As much of DER (X.690) as a certificate request has to be read with, and a device certificate to be written with. Written by hand,
//! because the certificates of Microsoft's services are deliberately odd in places where a library would put them right.

/// One element: its tag, and what is inside.
#[derive(Clone, Copy)]
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    pub(crate) inside: &'a [u8],
    /// With tag and length, as it was signed.
    pub(crate) whole: &'a [u8],
}

/// Reads elements one after the other.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn any(&mut self) -> Option<Element<'a>> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let octets = if first < 0x80 { 0 } else { usize::from(first & 0x7f) };
        let length = match octets {
            0 if first < 0x80 => usize::from(first),
            1..=3 => rest.get(..octets)?.iter().fold(0, |length, octet| length << 8 | usize::from(*octet)),
            _ => return None,
        };
        let inside = rest.get(octets..octets + length)?;
        let (whole, rest) = self.0.split_at(2 + octets + length);
        self.0 = rest;
        Some(Element { tag, inside, whole })
    }

    pub(crate) fn of(&mut self, tag: u8) -> Option<Element<'a>> {
        self.any().filter(|element| element.tag == tag)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The one element of that tag that the bytes are.
pub(crate) fn single(bytes: &[u8], tag: u8) -> Option<Element<'_>> {
    let mut reader = Reader::new(bytes);
    reader.of(tag).filter(|_| reader.is_empty())
}

pub(crate) fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let inside = parts.concat();
    let length = inside.len();
    let mut whole = vec![tag];
    match length {
        0..0x80 => whole.extend(length.to_be_bytes().last()),
        0x80..0x100 => whole.extend([0x81, length.to_be_bytes()[7]]),
        _ => whole.extend([0x82, length.to_be_bytes()[6], length.to_be_bytes()[7]]),
    }
    whole.extend(inside);
    whole
}

/// A positive INTEGER from a magnitude in big-endian octets.
pub(crate) fn unsigned(magnitude: &[u8]) -> Vec<u8> {
    let first = magnitude.iter().position(|octet| *octet != 0).unwrap_or(magnitude.len());
    let magnitude = &magnitude[first..];
    let sign: &[u8] = if magnitude.first().is_none_or(|octet| octet & 0x80 != 0) { &[0] } else { &[] };
    element(INTEGER, &[sign, magnitude])
}

/// An object identifier from its dotted form.
pub(crate) fn identifier(dotted: &str) -> Vec<u8> {
    let mut arcs = dotted.split('.').filter_map(|arc| arc.parse::<u32>().ok());
    let (first, second) = (arcs.next().unwrap_or(0), arcs.next().unwrap_or(0));
    let mut inside = Vec::new();
    for arc in std::iter::once(first * 40 + second).chain(arcs) {
        let groups: Vec<u8> = (0..5).rev().map(|at| (arc >> (7 * at) & 0x7f).to_be_bytes()[3]).collect();
        let start = groups.iter().position(|group| *group != 0).unwrap_or(groups.len() - 1);
        let last = groups.len() - 1;
        inside.extend(groups[start..last].iter().map(|group| group | 0x80));
        inside.push(groups[last]);
    }
    element(IDENTIFIER, &[&inside])
}

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BITS: u8 = 0x03;
pub(crate) const OCTETS: u8 = 0x04;
pub(crate) const NULL: u8 = 0x05;
pub(crate) const IDENTIFIER: u8 = 0x06;
pub(crate) const UTF8: u8 = 0x0c;
pub(crate) const PRINTABLE: u8 = 0x13;
pub(crate) const IA5: u8 = 0x16;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_written_as_x690_has_them() {
        let table: [(Vec<u8>, &[u8]); 5] = [
            (unsigned(&[0, 0, 1]), &[2, 1, 1]),
            (unsigned(&[0x80]), &[2, 2, 0, 0x80]),
            (unsigned(&[]), &[2, 1, 0]),
            (identifier("1.2.840.113549.1.1.11"), &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 0x0b]),
            (element(SEQUENCE, &[&[5, 0]]), &[0x30, 2, 5, 0]),
        ];
        for (written, expected) in table {
            assert_eq!(written, expected);
        }
        assert_eq!(element(OCTETS, &[&[7; 300]])[..4], [4, 0x82, 1, 44]);
    }

    #[test]
    fn what_is_cut_short_is_no_element() {
        let whole = element(SEQUENCE, &[&[7; 200]]);
        assert!(single(&whole, SEQUENCE).is_some());
        for end in 0..whole.len() {
            assert!(single(&whole[..end], SEQUENCE).is_none(), "{end}");
        }
        assert!(single(&[&whole[..], &[0]].concat(), SEQUENCE).is_none(), "something follows");
    }
}

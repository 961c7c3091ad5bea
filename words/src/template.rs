//! Texts with places.

use std::fmt::{Display, Write as _};

use crate::language::spoken;

/// The text with what belongs into its places. A place for which there is nothing stays as it is written: the tests of the
/// catalogue see to it that there is none.
#[must_use]
pub fn fill(id: &'static str, arguments: &[(&str, &dyn Display)]) -> String {
    let template = spoken(id);
    let mut text = String::with_capacity(template.len() + 32);
    let mut rest = &*template;
    let mut next = 0;
    while let Some(brace) = rest.find(['{', '}']) {
        text.push_str(&rest[..brace]);
        let (sign, behind) = rest[brace..].split_at(1);
        if behind.starts_with(sign) {
            text.push_str(sign);
            rest = &behind[1..];
            continue;
        }
        let Some(end) = behind.find('}').filter(|_| sign == "{") else {
            text.push_str(sign);
            rest = behind;
            continue;
        };
        let place = &behind[..end];
        match value(place, &mut next, arguments) {
            // Writing to a string does not fail.
            Some(value) => drop(write!(text, "{value}")),
            None => text.push_str(&rest[brace..=brace + 1 + end]),
        }
        rest = &behind[end + 1..];
    }
    text.push_str(rest);
    text
}

fn value<'a>(
    place: &str,
    next: &mut usize,
    arguments: &[(&str, &'a dyn Display)],
) -> Option<&'a dyn Display> {
    let number = if place.is_empty() {
        *next += 1;
        Some(*next - 1)
    } else {
        place.parse().ok()
    };
    let argument = match number {
        Some(number) => arguments.get(number),
        None => arguments.iter().find(|(name, _)| *name == place),
    };
    argument.map(|(_, value)| *value)
}

#[cfg(test)]
mod tests {
    use crate::tr;

    #[test]
    fn places_are_filled_by_name_by_number_and_in_order() {
        let (name, number) = ("Alice", 7);
        assert_eq!(tr!("{name} has {n} tries.", name, n = 1 + 1), "Alice has 2 tries.");
        assert_eq!(tr!("{1}, then {0}", name, number), "7, then Alice");
        assert_eq!(tr!("{} and {}", name, "x".len()), "Alice and 1");
        assert_eq!(tr!("{{{name}}}", name), "{Alice}");
        assert_eq!(tr!("no {place", name), "no {place");
        assert_eq!(tr!("nobody's {other}", name), "nobody's {other}");
        assert_eq!(tr!("plain").to_string(), "plain");
        assert_eq!(format!("{:>7}", tr!("plain")), "  plain");
    }

    #[test]
    fn what_is_put_into_a_place_is_no_template() {
        let name = "{n} {{";
        assert_eq!(tr!("{name}: {n}", name, n = 1), "{n} {{: 1");
    }
}

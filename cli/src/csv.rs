//! Lines of a CSV file (RFC 4180) that a spreadsheet can open without running what strangers wrote on chain.

use std::borrow::Cow;

/// One line, without its end.
pub(crate) fn line<'a>(fields: impl IntoIterator<Item = &'a str>) -> String {
    fields.into_iter().map(field).collect::<Vec<_>>().join(",")
}

fn field(text: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '_' | '-');
    if is_number(text) || (text.chars().all(plain) && !text.starts_with('-')) {
        return Cow::Borrowed(text);
    }
    // Other separators would split the line where a spreadsheet expects them instead of commas.
    let text: String = text.chars().map(|c| if c.is_control() || c == ';' { '\u{fffd}' } else { c }).collect();
    let apostrophe = if is_formula(&text) { "'" } else { "" };
    Cow::Owned(format!("\"{apostrophe}{}\"", text.replace('"', "\"\"")))
}

/// Whether a spreadsheet might calculate this, in whatever width its signs are written.
fn is_formula(text: &str) -> bool {
    let first = text.chars().find(|c| !c.is_whitespace() && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{feff}'));
    first.is_some_and(|c| {
        matches!(c, '=' | '+' | '-' | '@' | '\u{2212}' | '\u{ff0b}' | '\u{ff0d}' | '\u{ff1d}' | '\u{ff20}')
    })
}

fn is_number(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    [whole, fraction].iter().all(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_no_quotes_has_none() {
        let plain = ["2026-01-31T23:59:59Z", "", "0x00ff", "12.5", "-3", "-0.5", "tUSD", "USD_1"];
        assert_eq!(line(plain), "2026-01-31T23:59:59Z,,0x00ff,12.5,-3,-0.5,tUSD,USD_1");
    }

    #[test]
    fn separators_quotes_and_line_ends_stay_within_their_field() {
        for (text, written) in [
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("a\r\n=1+1", "\"a\u{fffd}\u{fffd}=1+1\""),
            ("a;=1+1", "\"a\u{fffd}=1+1\""),
            ("USD\u{20ae}0", "\"USD\u{20ae}0\""),
        ] {
            assert_eq!(line([text, "1"]), format!("{written},1"));
        }
    }

    #[test]
    fn no_field_begins_a_formula_unless_it_is_a_number() {
        for text in ["=1+1", "+1", "-1+1", "@SUM(A1)", "-", "--1", "-1.", "-.5", "1.-2", " =1", "\t=1", "\u{ff1d}1"] {
            let line = line([text]);
            let content = line.trim_matches('"');
            assert!(is_number(content) || content.starts_with(['\'', '1', '\u{fffd}']), "{text:?} became {line}");
        }
    }
}

//! How fast a link is.

use std::fmt;
use std::str::FromStr;

/// In Mbit/s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Speed {
    pub mbps: u32,
}

impl FromStr for Speed {
    type Err = String;

    /// `100G`, `2.5G`, `100M`: a number with at most three digits after the point.
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("'{text}' is no speed: expected a number with G or M, like 100G");
        let (number, unit) = if let Some(number) = text.strip_suffix('G') {
            (number, 1000)
        } else {
            (text.strip_suffix('M').ok_or_else(bad)?, 1)
        };
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(whole) || !is_number(part) || part.len() > 3 || (unit == 1 && number.contains('.')) {
            return Err(bad());
        }
        let thousandths: u32 = format!("{part:0<3}").parse().map_err(|_| bad())?;
        let whole: u32 = whole.parse().map_err(|_| bad())?;
        let mbps = whole.checked_mul(unit).and_then(|mbps| mbps.checked_add(thousandths * (unit / 1000)));
        mbps.map(|mbps| Self { mbps }).ok_or_else(bad)
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mbps {
            mbps @ ..1000 => write!(f, "{mbps}M"),
            mbps if mbps % 1000 == 0 => write!(f, "{}G", mbps / 1000),
            mbps => {
                let part = format!("{:03}", mbps % 1000);
                write!(f, "{}.{}G", mbps / 1000, part.trim_end_matches('0'))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_are_read_and_printed_as_people_say_them() {
        for (text, mbps) in [("100M", 100), ("2.5G", 2500), ("400G", 400_000), ("1.234G", 1234), ("0M", 0)] {
            let speed: Speed = text.parse().unwrap();
            assert_eq!((speed.mbps, speed.to_string().as_str()), (mbps, text));
        }
    }

    #[test]
    fn what_is_no_speed_says_so() {
        for text in ["", "G", "100", "-1G", "1.G", ".5G", "1.2345G", "2.5M", "1e3G", "99999999G", "100g"] {
            assert!(text.parse::<Speed>().unwrap_err().contains("100G"), "{text}");
        }
    }
}

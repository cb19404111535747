//! Protocol versions and which of them a client may speak.

/// The version this gateway speaks; `hello-ok.protocol` is always this.
pub const CURRENT: i64 = 4;
/// Oldest version a node may speak.
pub const MINIMUM_NODE: i64 = 3;
/// Oldest version a probe may speak.
pub const MINIMUM_PROBE: i64 = 3;

/// The range of versions a client says it speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// Oldest.
    pub min: i64,
    /// Newest.
    pub max: i64,
}

/// What kind of client asks: probes and nodes may be older.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leniency {
    /// A client that only looks whether somebody answers.
    Probe,
    /// A node that connects as a node.
    Node,
    /// Everyone else.
    None,
}

impl Range {
    /// True when the two sides can talk to each other.
    #[must_use]
    pub fn is_accepted(self, leniency: Leniency) -> bool {
        let general = self.min <= CURRENT && CURRENT <= self.max;
        general
            || match leniency {
                Leniency::Probe => self.max >= MINIMUM_PROBE && self.min <= CURRENT,
                Leniency::Node => self.min <= MINIMUM_NODE && MINIMUM_NODE <= self.max,
                Leniency::None => false,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_accepted_by_kind_of_client() {
        for (min, max, probe, node, other) in [
            (4, 4, true, true, true),
            (3, 4, true, true, true),
            (1, 9, true, true, true),
            (3, 3, true, true, false),
            (2, 2, false, false, false),
            (5, 6, false, false, false),
        ] {
            let range = Range { min, max };
            assert_eq!(range.is_accepted(Leniency::Probe), probe, "{range:?}");
            assert_eq!(range.is_accepted(Leniency::Node), node, "{range:?}");
            assert_eq!(range.is_accepted(Leniency::None), other, "{range:?}");
        }
    }
}

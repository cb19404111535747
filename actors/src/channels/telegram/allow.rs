//! Who may write: numeric ids only, nobody by default.

use std::collections::BTreeSet;

/// The senders an account listens to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct AllowList {
    anyone: bool,
    ids: BTreeSet<i64>,
    /// Entries that can never match, such as `@name`: handles change owners, ids don't.
    pub unusable: Vec<String>,
}

impl AllowList {
    /// Reads `allowFrom`: numeric ids, with `telegram:` or `tg:` before them or not, and `*` for anyone.
    pub fn parse<S: AsRef<str>>(entries: impl IntoIterator<Item = S>) -> Self {
        let mut list = Self::default();
        for entry in entries {
            let raw = entry.as_ref().trim();
            let lower = raw.to_ascii_lowercase();
            let bare = lower.strip_prefix("telegram:").or_else(|| lower.strip_prefix("tg:")).unwrap_or(&lower).trim();
            match bare.parse::<i64>() {
                _ if bare == "*" => list.anyone = true,
                Ok(id) => {
                    list.ids.insert(id);
                }
                Err(_) => list.unusable.push(raw.to_owned()),
            }
        }
        list
    }

    /// True when `sender` may write.
    #[must_use]
    pub fn allows(&self, sender: i64) -> bool {
        self.anyone || self.ids.contains(&sender)
    }

    /// In words, for the tree.
    #[must_use]
    pub fn describe(&self) -> String {
        match self.ids.len() {
            _ if self.anyone => "anyone".to_owned(),
            0 => "nobody".to_owned(),
            1 => "1 sender".to_owned(),
            many => format!("{many} senders"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_allowed_by_default() {
        assert!(!AllowList::parse(Vec::<String>::new()).allows(1));
    }

    #[test]
    fn prefixes_are_stripped_and_names_never_match() {
        let list = AllowList::parse(["telegram:7", " TG:8 ", "9", "@ann"]);
        assert!(list.allows(7) && list.allows(8) && list.allows(9) && !list.allows(10));
        assert_eq!(list.unusable, ["@ann"]);
    }

    #[test]
    fn a_star_opens_the_account() {
        assert!(AllowList::parse(["telegram:*"]).allows(123));
    }
}

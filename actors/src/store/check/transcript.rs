//! Whether a transcript holds together: a header, a JSON object on each line, ids that occur once, a result for each
//! call and a call for each result.

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use serde_json::Value;

/// Problems told of one file.
const MAX_TOLD: usize = 20;

/// Everything wrong with a transcript. One that is being written to (`is_busy`) may end in the middle of a turn.
pub(super) fn problems(path: &Path, is_busy: bool) -> Vec<String> {
    let mut look = Look::default();
    let mut reader = match File::open(path) {
        Ok(file) => BufReader::new(file),
        Err(error) => return vec![format!("can't be read: {error}")],
    };
    let mut line = Vec::new();
    loop {
        line.clear();
        match reader.read_until(b'\n', &mut line) {
            Ok(0) => break,
            Ok(_) if line.last() != Some(&b'\n') => {
                if !is_busy {
                    look.tell(format!("line {} is cut off", look.number + 1));
                }
                break;
            }
            Ok(_) => look.line(&line),
            Err(error) => {
                look.tell(format!("can't be read: {error}"));
                break;
            }
        }
    }
    if !is_busy {
        for call in std::mem::take(&mut look.open) {
            look.tell(format!("call {call} has no result"));
        }
    }
    look.told
}

#[derive(Default)]
struct Look {
    number: usize,
    ids: HashSet<String>,
    open: BTreeSet<String>,
    /// Id of the line before.
    last: String,
    told: Vec<String>,
}

impl Look {
    fn tell(&mut self, problem: String) {
        if self.told.len() < MAX_TOLD {
            self.told.push(problem);
        }
    }

    fn line(&mut self, line: &[u8]) {
        self.number += 1;
        let number = self.number;
        let entry = match serde_json::from_slice::<Value>(line) {
            Ok(entry) if entry.is_object() => entry,
            Ok(_) => return self.tell(format!("line {number} is no object")),
            Err(error) => return self.tell(format!("line {number} is no JSON: {error}")),
        };
        let kind = entry["type"].as_str().unwrap_or_default();
        match (number, kind) {
            (1, "session") => return,
            (1, _) => self.tell(String::from("line 1 is no header")),
            (_, "session") => self.tell(format!("line {number} is a second header")),
            (_, _) => {}
        }
        // Behind another line than the one before it a branch begins; what it left may end anywhere.
        let leads_elsewhere = entry["parentId"].as_str().is_some_and(|parent| parent != self.last);
        if leads_elsewhere || kind == "leaf" {
            self.open.clear();
        }
        self.last = entry["id"].as_str().unwrap_or_default().to_owned();
        match entry["id"].as_str() {
            Some(id) if self.ids.insert(id.to_owned()) => {}
            Some(id) => self.tell(format!("line {number}: the id {id} occurred before")),
            None => self.tell(format!("line {number} has no id")),
        }
        if kind == "message" {
            self.message(number, &entry["message"]);
        }
    }

    fn message(&mut self, number: usize, message: &Value) {
        if message["role"] == "toolResult" {
            let call = message["toolCallId"].as_str().unwrap_or_default();
            if !self.open.remove(call) {
                self.tell(format!("line {number}: a result without a call ({call})"));
            }
            return;
        }
        for call in std::mem::take(&mut self.open) {
            self.tell(format!("line {number}: call {call} has no result before the next message"));
        }
        let parts = message["content"].as_array().into_iter().flatten();
        let calls = parts.filter(|part| part["type"] == "toolCall").filter_map(|part| part["id"].as_str());
        self.open = calls.map(str::to_owned).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(lines: &[&str], is_busy: bool) -> Vec<String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), lines.concat()).unwrap();
        problems(file.path(), is_busy)
    }

    const HEAD: &str = "{\"type\":\"session\",\"id\":\"s\"}\n";
    const CALL: &str = "{\"type\":\"message\",\"id\":\"a\",\"message\":{\"role\":\"assistant\",\"content\":[{\"type\":\"toolCall\",\"id\":\"c1\"},{\"type\":\"toolCall\",\"id\":\"c2\"}]}}\n";
    const RESULT: &str =
        "{\"type\":\"message\",\"id\":\"r1\",\"message\":{\"role\":\"toolResult\",\"toolCallId\":\"c1\"}}\n";
    const OTHER: &str =
        "{\"type\":\"message\",\"id\":\"r2\",\"message\":{\"role\":\"toolResult\",\"toolCallId\":\"c2\"}}\n";
    const USER: &str = "{\"type\":\"message\",\"id\":\"u\",\"message\":{\"role\":\"user\",\"content\":\"x\"}}\n";

    #[test]
    fn a_whole_turn_is_in_order() {
        assert!(told(&[HEAD, USER, CALL, OTHER, RESULT], false).is_empty());
    }

    #[test]
    fn calls_and_results_are_matched() {
        assert_eq!(told(&[HEAD, CALL, RESULT], false), ["call c2 has no result"]);
        assert!(told(&[HEAD, CALL, RESULT], true).is_empty());
        assert_eq!(told(&[HEAD, CALL, RESULT, USER], true), ["line 4: call c2 has no result before the next message"]);
        assert_eq!(told(&[HEAD, RESULT], false), ["line 2: a result without a call (c1)"]);
    }

    #[test]
    fn lines_are_objects_with_ids_of_their_own_under_a_header() {
        assert_eq!(told(&[USER], false), ["line 1 is no header"]);
        assert_eq!(told(&[HEAD, HEAD], false)[0], "line 2 is a second header");
        assert_eq!(told(&[HEAD, USER, USER], false), ["line 3: the id u occurred before"]);
        assert!(told(&[HEAD, "{\"type\":\n", "7\n"], false)[0].starts_with("line 2 is no JSON"));
        assert_eq!(told(&[HEAD, "7\n"], false), ["line 2 is no object"]);
    }

    #[test]
    fn a_branch_that_was_left_may_end_anywhere() {
        const BRANCH: &str = "{\"type\":\"message\",\"id\":\"b\",\"parentId\":\"u\",\"message\":{\"role\":\"user\",\"content\":\"y\"}}\n";
        assert!(told(&[HEAD, USER, CALL, BRANCH], false).is_empty());
    }

    #[test]
    fn a_cut_line_is_told_unless_it_is_being_written() {
        assert_eq!(told(&[HEAD, "{\"type\":"], false), ["line 2 is cut off"]);
        assert!(told(&[HEAD, "{\"type\":"], true).is_empty());
    }
}

//! Whether anything was lost, doubled, out of order or kept quiet. Pure: a record comes in, violations come out.

use std::collections::{BTreeMap, BTreeSet};

use crate::mind;
use crate::record::{Asked, Chat, Delivered, Kill, Kind, Offered, Record, Source, Told};
use crate::transcript::{self, Line};

/// What must never be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Violation {
    /// A file that is not a conversation.
    Transcript(String),
    /// The daemon said no to a message it had no reason to refuse.
    Refused(String),
    /// A message was accepted and is in no conversation.
    Lost(String),
    /// A message is in conversations more than once.
    Twice(String),
    /// A message nobody sent, or one in the wrong conversation.
    Foreign(String),
    /// Messages of a key are not in the order in which they were sent.
    OutOfOrder(String),
    /// A message has neither an answer nor a failure, or more than one.
    Answers(String, usize),
    /// An answer to something else.
    WrongAnswer(String),
    /// A client was told something else than the conversation says, or nothing.
    NotTold(String),
    /// Two runs of one key at the same time.
    TwoRuns(String),
    /// A call without its one result, or a result without its call.
    Unmatched(String),
    /// A change was made twice.
    EffectTwice(String),
    /// A change that was said to be made was not, or the other way round, or nobody knows of it.
    EffectUntold(String),
    /// A call is said to have an unknown outcome, and it was not open at any kill.
    UnknownUnfounded(String),
    /// The platform got a piece once more than a kill explains.
    Duplicate(String),
    /// The platform did not get a piece.
    NotDelivered(String),
    /// The platform got something else than the conversation says at this place.
    Undue(String),
}

/// Figures beside the violations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    /// Messages that ended in a failure that was told.
    pub(crate) reported: usize,
    /// Results that say that nobody knows.
    pub(crate) unknown: usize,
    /// Pieces the platform got twice.
    pub(crate) duplicates: usize,
    /// The most of them in one lane by one kill.
    pub(crate) most_of_one_kill: usize,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) violations: Vec<Violation>,
    pub(crate) figures: Figures,
}

/// How a message of a person ended, by the conversation.
#[derive(Debug, Clone, PartialEq)]
enum End {
    Answer(String),
    Failure(String),
}

/// A key's conversations as one: each message with what follows it.
type Turns = Vec<(String, Vec<Line>)>;

/// Checks everything.
pub(crate) fn check(record: &Record, pieces: impl Fn(&str) -> Vec<String>) -> Verdict {
    let mut verdict = Verdict::default();
    verdict.violations.extend(record.refused.iter().cloned().map(Violation::Refused));
    let talks = conversations(record, &mut verdict);
    let keys: BTreeSet<&str> = record.offered.iter().map(|offered| offered.key.as_str()).collect();
    for key in talks.keys().filter(|key| !keys.contains(key.as_str())) {
        verdict.violations.push(Violation::Foreign(key.clone()));
    }
    for key in keys {
        let offered: Vec<&Offered> = record.offered.iter().filter(|offered| offered.key == key).collect();
        let empty = Turns::new();
        let turns = talks.get(key).unwrap_or(&empty);
        presence(&offered, turns, &mut verdict);
        let ends = ends(&offered, turns, &mut verdict);
        told(&offered, &ends, &mut verdict);
        if let Some(Source::Chat(chat)) = offered.first().map(|first| &first.source) {
            delivered(record, chat, &ends, &pieces, &mut verdict);
        }
        one_run(record, key, &offered, &mut verdict);
        effects(record, turns, &mut verdict);
    }
    strays(record, &talks, &mut verdict);
    verdict.figures.most_of_one_kill = most_of_one_kill(record, &verdict);
    verdict
}

/// The conversations by key, and that each is one.
fn conversations(record: &Record, verdict: &mut Verdict) -> BTreeMap<String, Turns> {
    let mut talks: BTreeMap<String, Turns> = BTreeMap::new();
    for talk in &record.talks {
        let lines = match transcript::read(talk) {
            Ok(lines) => lines,
            Err(why) => {
                verdict.violations.push(Violation::Transcript(why));
                continue;
            }
        };
        matched(&talk.name, &lines, verdict);
        let mut turns = Turns::new();
        for line in lines {
            match line {
                Line::User(ids) if ids.is_empty() => verdict.violations.push(Violation::Foreign(talk.name.clone())),
                Line::User(ids) => turns.extend(ids.into_iter().map(|id| (id, Vec::new()))),
                other @ (Line::Assistant { .. } | Line::Result { .. } | Line::Note) => {
                    if let Some((_, after)) = turns.last_mut() {
                        after.push(other);
                    }
                }
            }
        }
        let Some((first, _)) = turns.first() else { continue };
        let key = key_of(first).to_owned();
        for (id, _) in turns.iter().filter(|(id, _)| key_of(id) != key) {
            verdict.violations.push(Violation::Foreign(id.clone()));
        }
        talks.entry(key).or_default().extend(turns);
    }
    talks
}

/// Each call has its one result, before anything else is said.
fn matched(name: &str, lines: &[Line], verdict: &mut Verdict) {
    let mut open: Vec<&str> = Vec::new();
    for line in lines {
        match line {
            Line::Assistant { calls, .. } => {
                verdict.violations.extend(open.drain(..).map(|call| Violation::Unmatched(format!("{name}: {call}"))));
                open.extend(calls.iter().map(String::as_str));
            }
            Line::User(_) => {
                verdict.violations.extend(open.drain(..).map(|call| Violation::Unmatched(format!("{name}: {call}"))));
            }
            Line::Result { call, .. } => match open.iter().position(|known| known == call) {
                Some(at) => drop(open.remove(at)),
                None => verdict.violations.push(Violation::Unmatched(format!("{name}: result of {call}"))),
            },
            Line::Note => {}
        }
    }
    verdict.violations.extend(open.drain(..).map(|call| Violation::Unmatched(format!("{name}: {call}"))));
}

fn key_of(id: &str) -> &str {
    id.rsplit_once('-').map_or(id, |(key, _)| key)
}

/// Every accepted message is there once, and they are in their order.
fn presence(offered: &[&Offered], turns: &Turns, verdict: &mut Verdict) {
    let seen: Vec<&str> = turns.iter().map(|(id, _)| id.as_str()).collect();
    for message in offered {
        match seen.iter().filter(|id| **id == message.id).count() {
            0 if message.accepted => verdict.violations.push(Violation::Lost(message.id.clone())),
            0 | 1 => {}
            _ => verdict.violations.push(Violation::Twice(message.id.clone())),
        }
    }
    let place = |id: &str| offered.iter().position(|message| message.id == id);
    for id in seen.iter().filter(|id| place(id).is_none()) {
        verdict.violations.push(Violation::Foreign((*id).to_owned()));
    }
    for pair in seen.windows(2).filter(|pair| place(pair[0]) > place(pair[1])) {
        verdict.violations.push(Violation::OutOfOrder(format!("{} before {}", pair[0], pair[1])));
    }
}

/// How each message ended: in one way, with the answer to it.
fn ends(offered: &[&Offered], turns: &Turns, verdict: &mut Verdict) -> Vec<(String, End)> {
    let mut found = Vec::new();
    for (id, after) in turns {
        let of_turn: Vec<End> = after.iter().filter_map(end).collect();
        let [end] = of_turn.as_slice() else {
            verdict.violations.push(Violation::Answers(id.clone(), of_turn.len()));
            continue;
        };
        let kind = offered.iter().find(|message| message.id == *id).map(|message| message.kind);
        match end {
            End::Answer(text) if kind.is_some_and(|kind| *text != mind::answer_to(id, kind)) => {
                verdict.violations.push(Violation::WrongAnswer(format!("{id}: {text}")));
            }
            End::Answer(_) => {}
            End::Failure(_) => verdict.figures.reported += 1,
        }
        found.push((id.clone(), end.clone()));
    }
    found
}

fn end(line: &Line) -> Option<End> {
    match line {
        Line::Assistant { failed: Some(why), .. } => Some(End::Failure(why.clone())),
        Line::Assistant { calls, text, failed: None } if calls.is_empty() => Some(End::Answer(text.clone())),
        Line::Assistant { .. } | Line::User(_) | Line::Result { .. } | Line::Note => None,
    }
}

/// Each client was told the end that the conversation shows.
fn told(offered: &[&Offered], ends: &[(String, End)], verdict: &mut Verdict) {
    for message in offered.iter().filter(|message| message.source == Source::Client && message.accepted) {
        let end = ends.iter().find(|(id, _)| *id == message.id).map(|(_, end)| end);
        let agrees = match (&message.told, end) {
            (Some(Told::Answer(told)), Some(End::Answer(text))) => told == text,
            (Some(Told::Failure(told)), Some(End::Failure(why))) => told == why,
            (Some(_), Some(_)) | (None, Some(_)) => false,
            // That it is in no conversation is told elsewhere.
            (_, None) => true,
        };
        if !agrees {
            verdict.violations.push(Violation::NotTold(format!("{}: {:?} of {end:?}", message.id, message.told)));
        }
    }
}

/// The platform got each piece in its order, and twice only what was being sent at a kill in between.
fn delivered(
    record: &Record,
    chat: &Chat,
    ends: &[(String, End)],
    pieces: impl Fn(&str) -> Vec<String>,
    verdict: &mut Verdict,
) {
    let text = |end: &End| match end {
        End::Answer(text) => text.clone(),
        End::Failure(why) => format!("I could not answer: {why}"),
    };
    let due: Vec<String> = ends.iter().flat_map(|(_, end)| pieces(&text(end))).collect();
    let mut used: BTreeSet<u32> = BTreeSet::new();
    let mut next = 0;
    // The first of the equal pieces that came last: of two failures in the same words either may have come twice.
    let mut before: Option<&Delivered> = None;
    for got in record.delivered.iter().filter(|got| got.chat == *chat) {
        let equal = before.filter(|first| first.text == got.text);
        if due.get(next) == Some(&got.text) {
            next += 1;
        } else if let Some(first) = equal {
            match explained(&record.kills, first, got, &used) {
                Some(life) => {
                    used.insert(life);
                    verdict.figures.duplicates += 1;
                }
                None => verdict.violations.push(Violation::Duplicate(format!("{chat:?}: {}", shown(&got.text)))),
            }
        } else {
            verdict.violations.push(Violation::Undue(format!("{chat:?}: {}", shown(&got.text))));
        }
        before = equal.or(Some(got));
    }
    for missing in &due[next..] {
        verdict.violations.push(Violation::NotDelivered(format!("{chat:?}: {}", shown(missing))));
    }
}

fn shown(text: &str) -> String {
    text.chars().take(60).collect()
}

/// The life whose kill, between two equal pieces, left open whether the first one had arrived.
fn explained(kills: &[Kill], first: &Delivered, again: &Delivered, used: &BTreeSet<u32>) -> Option<u32> {
    let open = |kill: &&Kill| {
        let sending = kill.open.sending.iter().any(|sending| sending.chat == first.chat && sending.text == first.text);
        (first.life..again.life).contains(&kill.life) && sending && !used.contains(&kill.life)
    };
    kills.iter().find(open).map(|kill| kill.life)
}

/// Within a life the model is asked about one message of a key at a time, and in their order.
fn one_run(record: &Record, key: &str, offered: &[&Offered], verdict: &mut Verdict) {
    let asked: Vec<&Asked> = record.asked.iter().filter(|asked| asked.key == key).collect();
    let place = |id: &str| offered.iter().position(|message| message.id == id);
    for pair in asked.windows(2) {
        let overlaps = pair[0].life == pair[1].life && pair[0].until.is_none_or(|until| until > pair[1].from);
        if overlaps {
            verdict.violations.push(Violation::TwoRuns(format!("{} and {}", pair[0].id, pair[1].id)));
        }
        if place(&pair[0].id) > place(&pair[1].id) {
            let what = format!("asked about {} before {}", pair[0].id, pair[1].id);
            verdict.violations.push(Violation::OutOfOrder(what));
        }
    }
}

/// Changes are made once, and what is said of them is so.
fn effects(record: &Record, turns: &Turns, verdict: &mut Verdict) {
    for (id, after) in turns {
        let mut of_message = 0;
        for line in after {
            let Line::Result { call, is_error, text } = line else { continue };
            let unknown = *is_error && says_unknown(text);
            verdict.figures.unknown += usize::from(unknown);
            if unknown && !record.kills.iter().any(|kill| kill.open.intents.contains(call)) {
                verdict.violations.push(Violation::UnknownUnfounded(call.clone()));
            }
            if !mind::is_change(call) {
                continue;
            }
            let marks = record.effects.get(call).copied().unwrap_or(0);
            of_message += marks;
            let fits = unknown || (marks > 0) != *is_error;
            if !fits {
                verdict.violations.push(Violation::EffectUntold(format!("{call}: {marks} marks, {text}")));
            }
        }
        if of_message > 1 {
            verdict.violations.push(Violation::EffectTwice(id.clone()));
        }
    }
}

/// The daemon's words for an outcome that nobody knows.
pub(crate) fn says_unknown(text: &str) -> bool {
    let text = text.to_lowercase();
    text.contains("not known") || text.contains("unknown")
}

/// Marks of calls that no conversation knows.
fn strays(record: &Record, talks: &BTreeMap<String, Turns>, verdict: &mut Verdict) {
    let results = talks.values().flatten().flat_map(|(_, after)| after).filter_map(|line| match line {
        Line::Result { call, .. } => Some(call.as_str()),
        Line::User(_) | Line::Assistant { .. } | Line::Note => None,
    });
    let known: BTreeSet<&str> = results.collect();
    for call in record.effects.keys().filter(|call| !known.contains(call.as_str())) {
        verdict.violations.push(Violation::EffectUntold(format!("{call}: in no conversation")));
    }
}

/// The most pieces of one lane that one kill left open.
fn most_of_one_kill(record: &Record, verdict: &Verdict) -> usize {
    if verdict.figures.duplicates == 0 {
        return 0;
    }
    let of_kill = |kill: &Kill| {
        let mut lanes: BTreeMap<&str, usize> = BTreeMap::new();
        for sending in &kill.open.sending {
            *lanes.entry(sending.chat.lane.as_str()).or_default() += 1;
        }
        lanes.into_values().max().unwrap_or(0)
    };
    record.kills.iter().map(of_kill).max().unwrap_or(0)
}

/// Kinds that must have happened for a run of the matrix to mean something.
pub(crate) fn unseen(record: &Record) -> Vec<Kind> {
    let all = [Kind::Plain, Kind::Long, Kind::Big, Kind::Look, Kind::Change, Kind::Reset];
    all.into_iter().filter(|kind| !record.offered.iter().any(|offered| offered.kind == *kind)).collect()
}

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

fn settings(mode: QueueMode) -> QueueSettings {
    QueueSettings { mode, debounce: Duration::ZERO, cap: 20, drop: QueueDrop::Summarize }
}

fn message(seq: u64, text: &str) -> AcceptRecord {
    AcceptRecord {
        seq,
        session: String::from("agent:main:main"),
        run_id: format!("r{seq}"),
        dedupe: format!("dedupe/rpc/r{seq}"),
        text: text.to_owned(),
        route: None,
        model: None,
        owner: true,
        sender: None,
        queue_mode: None,
        priority: false,
        literal: false,
        overflow: Vec::new(),
        at: 0,
        epoch: 1,
    }
}

fn from_chat(seq: u64, to: &str) -> AcceptRecord {
    let route = Route {
        channel: String::from("telegram"),
        account: String::from("default"),
        to: to.to_owned(),
        thread_id: None,
        reply_to: None,
    };
    AcceptRecord { route: Some(route), ..message(seq, "x") }
}

fn runs(records: &[AcceptRecord]) -> Vec<&str> {
    records.iter().map(|record| record.run_id.as_str()).collect()
}

/// A queue whose slot is taken by `r1`.
fn busy() -> Queue {
    let mut queue = Queue::new([]);
    queue.arrive(message(1, "first"), &settings(QueueMode::Steer));
    assert!(matches!(queue.next(|_| settings(QueueMode::Steer)), Next::Start(_)));
    queue
}

fn started(queue: &mut Queue, mode: QueueMode) -> Vec<String> {
    match queue.next(|_| settings(mode)) {
        Next::Start(batch) => batch.into_iter().map(|record| record.run_id).collect(),
        Next::Nobody => Vec::new(),
    }
}

#[test]
fn an_idle_session_runs_a_message_at_once_whatever_its_mode() {
    for mode in [QueueMode::Steer, QueueMode::Followup, QueueMode::Collect, QueueMode::Interrupt] {
        let mut queue = Queue::new([]);
        let slow = QueueSettings { debounce: Duration::from_secs(5), ..settings(mode) };
        let arrival = queue.arrive(message(1, "x"), &slow);
        assert_eq!(arrival, Arrival::default());
        assert!(matches!(queue.next(|_| slow), Next::Start(_)), "{mode:?}");
    }
}

#[test]
fn steering_hands_over_in_order_and_only_what_fits_the_run() {
    let mut queue = busy();
    assert!(queue.arrive(message(2, "b"), &settings(QueueMode::Steer)).steers);
    queue.arrive(message(3, "c"), &settings(QueueMode::Steer));
    queue.arrive(from_chat(4, "7"), &settings(QueueMode::Steer));
    queue.arrive(message(5, "e"), &settings(QueueMode::Steer));
    let taken = queue.take_in(|_| settings(QueueMode::Steer));
    assert_eq!(runs(&taken), ["r2", "r3"], "another chat's message waits, and what came behind it waits too");
    assert!(queue.knows("r3") && queue.knows("r4"));
    queue.release();
    assert_eq!(started(&mut queue, QueueMode::Steer), ["r4"]);
}

#[test]
fn a_run_that_ends_takes_nothing_in() {
    let mut queue = busy();
    queue.is_ending();
    assert!(!queue.arrive(message(2, "b"), &settings(QueueMode::Steer)).steers);
    assert!(queue.take_in(|_| settings(QueueMode::Steer)).is_empty());
}

#[test]
fn a_guest_is_never_taken_into_an_owners_run() {
    let mut queue = busy();
    queue.arrive(AcceptRecord { owner: false, ..message(2, "b") }, &settings(QueueMode::Steer));
    assert!(queue.take_in(|_| settings(QueueMode::Steer)).is_empty());
}

#[test]
fn followup_gives_each_message_its_own_turn() {
    let mut queue = busy();
    for seq in 2..5 {
        assert!(!queue.arrive(message(seq, "x"), &settings(QueueMode::Followup)).steers);
    }
    assert!(queue.take_in(|_| settings(QueueMode::Followup)).is_empty());
    for seq in 2..5 {
        queue.release();
        assert_eq!(started(&mut queue, QueueMode::Followup), [format!("r{seq}")]);
    }
}

#[test]
fn collect_merges_what_came_from_one_chat() {
    let mut queue = busy();
    for record in [from_chat(2, "7"), from_chat(3, "7"), from_chat(4, "8"), from_chat(5, "7")] {
        queue.arrive(record, &settings(QueueMode::Collect));
    }
    queue.release();
    assert_eq!(started(&mut queue, QueueMode::Collect), ["r2", "r3"]);
    queue.release();
    assert_eq!(started(&mut queue, QueueMode::Collect), ["r4"]);
    queue.release();
    assert_eq!(started(&mut queue, QueueMode::Collect), ["r5"]);
}

#[test]
fn what_was_queued_waits_for_quiet_and_only_the_last_timer_counts() {
    let mut queue = busy();
    let slow = QueueSettings { debounce: Duration::from_millis(500), ..settings(QueueMode::Collect) };
    assert_eq!(queue.arrive(message(2, "b"), &slow).timer, Some((1, slow.debounce)));
    assert_eq!(queue.arrive(message(3, "c"), &slow).timer, Some((2, slow.debounce)));
    queue.release();
    assert_eq!(queue.next(|_| slow), Next::Nobody);
    assert!(!queue.was_quiet(1));
    assert_eq!(queue.next(|_| slow), Next::Nobody);
    assert!(queue.was_quiet(2));
    assert!(matches!(queue.next(|_| slow), Next::Start(batch) if batch.len() == 2));
}

#[test]
fn interrupt_aborts_the_run_and_gives_up_what_waits() {
    let mut queue = busy();
    queue.arrive(message(2, "b"), &settings(QueueMode::Steer));
    let arrival = queue.arrive(message(3, "c"), &settings(QueueMode::Interrupt));
    assert!(arrival.interrupts);
    assert_eq!(runs(&arrival.given_up), ["r2"]);
    queue.is_ending();
    let again = queue.arrive(message(4, "d"), &settings(QueueMode::Interrupt));
    assert!(!again.interrupts, "it is told once");
    assert_eq!(runs(&again.given_up), ["r3"]);
    queue.release();
    assert_eq!(started(&mut queue, QueueMode::Interrupt), ["r4"]);
}

#[test]
fn the_oldest_give_way_and_leave_a_line() {
    let mut queue = busy();
    let small = QueueSettings { cap: 2, ..settings(QueueMode::Followup) };
    for seq in 2..6 {
        let arrival = queue.arrive(message(seq, &format!("word {seq}\nmore")), &small);
        assert_eq!(arrival.given_up.len(), usize::from(seq >= 4));
    }
    queue.release();
    let Next::Start(batch) = queue.next(|_| small) else { panic!("one waits") };
    assert_eq!(runs(&batch), ["r4"]);
    assert_eq!(batch[0].overflow, ["word 2 more", "word 3 more"]);
    let text = shown(&batch).remove(0);
    assert!(text.contains("- word 2 more\n- word 3 more\n") && text.ends_with("word 4\nmore"), "{text}");
}

#[test]
fn old_leaves_no_line_and_new_refuses() {
    let mut queue = busy();
    let old = QueueSettings { cap: 1, drop: QueueDrop::Old, ..settings(QueueMode::Followup) };
    queue.arrive(message(2, "b"), &old);
    let arrival = queue.arrive(message(3, "c"), &old);
    assert_eq!((runs(&arrival.given_up), arrival.rewritten.is_none()), (vec!["r2"], true));
    let new = QueueSettings { drop: QueueDrop::New, ..old };
    assert!(queue.refuses(&new, 0) && !queue.refuses(&old, 0));
    assert!(Queue::new([]).refuses(&new, 1) && !Queue::new([]).refuses(&new, 0));
}

#[test]
fn an_owners_word_goes_first_and_never_gives_way() {
    let mut queue = busy();
    let small = QueueSettings { cap: 1, ..settings(QueueMode::Followup) };
    queue.arrive(message(2, "b"), &small);
    let arrival = queue.arrive(AcceptRecord { priority: true, ..message(3, "now") }, &small);
    assert_eq!(runs(&arrival.given_up), ["r2"]);
    queue.arrive(message(4, "d"), &settings(QueueMode::Followup));
    queue.arrive(AcceptRecord { priority: true, ..message(5, "and this") }, &settings(QueueMode::Followup));
    for run in ["r3", "r5", "r4"] {
        queue.release();
        assert_eq!(started(&mut queue, QueueMode::Followup), [run]);
    }
}

#[test]
fn several_messages_are_shown_with_numbers_and_senders() {
    let batch = [AcceptRecord { sender: Some(String::from("Ann")), ..message(2, "b") }, message(3, "c")];
    let texts = shown(&batch);
    assert!(texts[0].starts_with("[Messages that came while the agent was busy]"), "{}", texts[0]);
    assert!(texts[0].ends_with("Queued #1 (from Ann)\nb"));
    assert_eq!(texts[1], "Queued #2\nc");
}

#[derive(Debug, Clone)]
enum Step {
    Arrive { mode: QueueMode, chat: u8, priority: bool, cap: usize, drop: QueueDrop },
    Quiet,
    Next,
    TakeIn,
    Abort(Option<u8>),
    Ending,
    End,
    Crash,
}

fn mode() -> impl Strategy<Value = QueueMode> {
    prop_oneof![Just(QueueMode::Steer), Just(QueueMode::Followup), Just(QueueMode::Collect), Just(QueueMode::Interrupt)]
}

fn step() -> impl Strategy<Value = Step> {
    let drop = prop_oneof![Just(QueueDrop::Old), Just(QueueDrop::New), Just(QueueDrop::Summarize)];
    prop_oneof![
        8 => (mode(), 0_u8..2, any::<bool>(), 1_usize..5, drop)
            .prop_map(|(mode, chat, priority, cap, drop)| Step::Arrive { mode, chat, priority, cap, drop }),
        2 => Just(Step::Quiet),
        4 => Just(Step::Next),
        3 => Just(Step::TakeIn),
        1 => prop::option::of(0_u8..20).prop_map(Step::Abort),
        2 => Just(Step::Ending),
        4 => Just(Step::End),
        1 => Just(Step::Crash),
    ]
}

/// What a store would hold, and what became of each message.
#[derive(Default)]
struct World {
    stored: BTreeMap<u64, AcceptRecord>,
    open: Option<(String, Vec<String>)>,
    ended: BTreeSet<String>,
    settings: BTreeMap<String, QueueSettings>,
    last_started: BTreeMap<(u8, bool), u64>,
}

impl World {
    fn end(&mut self, run: &str) {
        assert!(self.ended.insert(run.to_owned()), "{run} ended twice");
    }

    fn give_up(&mut self, records: &[AcceptRecord]) {
        for record in records {
            assert!(self.stored.remove(&record.seq).is_some(), "{} was not waiting", record.run_id);
            self.end(&record.run_id);
        }
    }

    /// Messages leave the queue in the order they came, by chat; an owner's word may pass others.
    fn consume(&mut self, records: &[AcceptRecord]) {
        for record in records {
            assert!(self.stored.remove(&record.seq).is_some(), "{} was not waiting", record.run_id);
            let chat = u8::from(record.route.as_ref().is_some_and(|route| route.to == "1"));
            let last = self.last_started.insert((chat, record.priority), record.seq);
            assert!(last.is_none_or(|last| last < record.seq), "{} was overtaken", record.run_id);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// At most one run, order kept, exactly one end for each accepted message, whatever happens in between.
    #[test]
    fn two_messages_to_one_key_never_run_at_once_and_each_ends_once(steps in prop::collection::vec(step(), 1..80)) {
        let mut world = World::default();
        let mut queue = Queue::new([]);
        let mut seq = 0;
        let mut timer = 0;
        for step in steps {
            match step {
                Step::Arrive { mode, chat, priority, cap, drop } => {
                    seq += 1;
                    let record = AcceptRecord { priority, ..from_chat(seq, &chat.to_string()) };
                    let settings = QueueSettings { mode, debounce: Duration::from_millis(5), cap, drop };
                    if queue.refuses(&settings, 0) {
                        continue;
                    }
                    world.settings.insert(record.run_id.clone(), settings);
                    world.stored.insert(seq, record.clone());
                    let arrival = queue.arrive(record, &settings);
                    world.give_up(&arrival.given_up);
                    if let Some(rewritten) = arrival.rewritten {
                        prop_assert!(world.stored.insert(rewritten.seq, rewritten).is_some());
                    }
                    timer = arrival.timer.map_or(timer, |(number, _)| number);
                    prop_assert!(!arrival.interrupts || world.open.is_some());
                    if arrival.interrupts {
                        queue.is_ending();
                    }
                }
                Step::Quiet => {
                    queue.was_quiet(timer);
                }
                Step::Next => {
                    let known = world.settings.clone();
                    if let Next::Start(batch) = queue.next(|record| known[&record.run_id]) {
                        prop_assert!(world.open.is_none(), "two runs at once");
                        prop_assert!(!batch.is_empty());
                        world.consume(&batch);
                        let joined = batch[1..].iter().map(|record| record.run_id.clone()).collect();
                        world.open = Some((batch[0].run_id.clone(), joined));
                    }
                }
                Step::TakeIn => {
                    let known = world.settings.clone();
                    let taken = queue.take_in(|record| known[&record.run_id]);
                    world.consume(&taken);
                    match &mut world.open {
                        Some((_, joined)) => joined.extend(taken.into_iter().map(|record| record.run_id)),
                        None => prop_assert!(taken.is_empty()),
                    }
                }
                Step::Abort(run) => {
                    let run = run.map(|number| format!("r{number}"));
                    let aborted = queue.abort(run.as_deref());
                    world.give_up(&aborted);
                }
                Step::Ending => queue.is_ending(),
                Step::End => {
                    if let Some((run, joined)) = world.open.take() {
                        queue.release();
                        world.end(&run);
                        joined.iter().for_each(|run| world.end(run));
                    }
                }
                Step::Crash => {
                    queue = Queue::new(world.stored.values().cloned());
                    if let Some((run, joined)) = &world.open {
                        queue.take_up(run, None, true, joined.clone());
                    }
                }
            }
            prop_assert_eq!(queue.len(), world.stored.len());
            for record in world.stored.values() {
                prop_assert!(queue.knows(&record.run_id));
            }
        }
        let waiting = queue.len();
        prop_assert_eq!(
            usize::try_from(seq).unwrap_or(0) - (usize::try_from(seq).unwrap_or(0) - world.settings.len()),
            world.ended.len() + waiting + world.open.as_ref().map_or(0, |(_, joined)| joined.len() + 1)
        );
    }
}

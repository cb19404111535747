//! Collects rounds and prints medians, spread and ratios.

#![expect(clippy::print_stdout, reason = "a bench talks to the terminal")]

use std::time::Duration;

/// What the command line says.
pub(crate) struct Options {
    words: Vec<String>,
    rounds: Option<usize>,
    only: Option<String>,
}

impl Options {
    pub(crate) fn parse(arguments: &[String]) -> Self {
        let mut options = Self { words: Vec::new(), rounds: None, only: None };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match argument.as_str() {
                // What cargo itself says.
                "--bench" => {}
                "--rounds" => options.rounds = rest.next().and_then(|n| n.parse().ok()),
                "--only" => options.only = rest.next().cloned(),
                word => options.words.push(word.to_owned()),
            }
        }
        options
    }

    /// True if the question is to be asked.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.words.is_empty() || self.words.iter().any(|word| name.contains(word.as_str()))
    }

    /// True if the contender takes part.
    pub(crate) fn admits(&self, contender: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == contender)
    }

    pub(crate) fn rounds(&self, usual: usize) -> usize {
        self.rounds.unwrap_or(usual)
    }
}

/// Says on what it runs.
pub(crate) fn heading() {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let threads = std::thread::available_parallelism().map_or(0, usize::from);
    println!("machine: {}, {threads} threads", model.trim_start_matches([' ', '\t', ':']));
    println!("load when started: {}", load());
}

fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// A line of its own.
pub(crate) fn note(text: &str) {
    println!("  {text}");
}

/// The rounds of one question: a column of nanoseconds for each contender.
pub(crate) struct Table {
    title: String,
    columns: Vec<(&'static str, Vec<f64>)>,
}

impl Table {
    pub(crate) fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), columns: Vec::new() }
    }

    /// Adds a round: `spent` on `times` repetitions.
    pub(crate) fn add(&mut self, name: &'static str, spent: Duration, times: usize) {
        let each = spent.as_nanos() as f64 / times.max(1) as f64;
        self.value(name, each);
    }

    pub(crate) fn value(&mut self, name: &'static str, value: f64) {
        match self.columns.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.push(value),
            None => self.columns.push((name, vec![value])),
        }
    }

    /// Prints the table; ratios are of the same round, against `base`.
    pub(crate) fn print(&self, base: &str) {
        self.show(base, &time);
    }

    /// The same for sizes.
    pub(crate) fn print_bytes(&self, base: &str) {
        self.show(base, &|bytes| format!("{bytes:.0} B"));
    }

    /// The longest time of the last column.
    pub(crate) fn worst(&self) -> String {
        let last = self.columns.last().map(|(_, values)| values.iter().copied().fold(0.0, f64::max));
        last.map_or_else(String::new, time)
    }

    fn show(&self, base: &str, unit: &dyn Fn(f64) -> String) {
        println!("\n{} (load {})", self.title, load());
        let of_base = self.columns.iter().find(|(name, _)| *name == base).map(|(_, values)| values);
        for (name, values) in &self.columns {
            let (low, middle, high) = spread(values);
            let mut line = format!("  {name:16} median {:>10}  ({} to {})", unit(middle), unit(low), unit(high));
            if let Some(of_base) = of_base.filter(|of_base| of_base.len() == values.len()) {
                let ratios: Vec<f64> = values.iter().zip(of_base).map(|(value, base)| value / base).collect();
                let (low, middle, high) = spread(&ratios);
                line.push_str(&format!("  x {middle:.2} of {base} ({low:.2} to {high:.2})"));
            }
            println!("{line}");
        }
    }
}

fn time(nanos: f64) -> String {
    match nanos {
        small if small < 10_000.0 => format!("{small:.0} ns"),
        middle if middle < 10_000_000.0 => format!("{:.1} us", middle / 1e3),
        large => format!("{:.1} ms", large / 1e6),
    }
}

/// The tenth, the median and the ninetieth of a hundred.
fn spread(values: &[f64]) -> (f64, f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |share: f64| sorted.get(((sorted.len() - 1) as f64 * share).round() as usize).copied().unwrap_or(f64::NAN);
    if sorted.is_empty() { (f64::NAN, f64::NAN, f64::NAN) } else { (at(0.1), at(0.5), at(0.9)) }
}

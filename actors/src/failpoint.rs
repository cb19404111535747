//! Named places at which a test lets the daemon die, fail or wait.
//!
//! They exist only in a build with the feature `failpoints`; without it [`failpoint!`] is nothing at all. With it they
//! do nothing until `OPENCLAWD_FAILPOINT` names one: `name:nth:action`, several with commas between. `nth` counts the
//! passings of that place in this process: `3` is the third one, `3+` the third and all after it. Actions:
//!
//! - `kill`: this process ends as by `kill -9`, before the next instruction of this thread;
//! - `error`: the step fails with an error of the disk (`EIO`); `full`: as on a full disk (`ENOSPC`);
//! - `delay(50)`: the thread waits so many milliseconds.
//!
//! A place that can't fail takes `error` and `full` for nothing.

/// `failpoint!(NAME)` where nothing can fail, or `failpoint!(NAME, make)` in a function that returns a `Result`: `make`
/// turns an `io::Error` into its error. Names say what happens there: area, step, `before` or `after`.
#[cfg(feature = "failpoints")]
macro_rules! failpoint {
    ($name:literal) => {
        drop($crate::failpoint::pass($name))
    };
    ($name:literal, $make:expr) => {
        if let Some(error) = $crate::failpoint::pass($name) {
            return Err($crate::failpoint::told(error, $make));
        }
    };
}

/// Nothing: an empty block, so that it may also stand where a value does.
#[cfg(not(feature = "failpoints"))]
macro_rules! failpoint {
    ($name:literal) => {{}};
    ($name:literal, $make:expr) => {{}};
}

pub(crate) use failpoint;

#[cfg(feature = "failpoints")]
pub(crate) use armed::{pass, told};

#[cfg(feature = "failpoints")]
mod armed {
    use std::io;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    const VARIABLE: &str = "OPENCLAWD_FAILPOINT";
    const EIO: i32 = 5;
    const ENOSPC: i32 = 28;

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Action {
        Kill,
        Fail(i32),
        Delay(Duration),
    }

    #[derive(Debug)]
    struct Point {
        name: String,
        nth: u64,
        onwards: bool,
        action: Action,
        seen: AtomicU64,
    }

    impl Point {
        /// True when this passing is the one.
        fn strikes(&self) -> bool {
            let nth = self.seen.fetch_add(1, Ordering::Relaxed) + 1;
            nth == self.nth || (self.onwards && nth > self.nth)
        }
    }

    static POINTS: OnceLock<Vec<Point>> = OnceLock::new();

    /// A place is passed. `Some`: it is to fail in this way.
    pub(crate) fn pass(name: &str) -> Option<io::Error> {
        let points = POINTS.get_or_init(|| std::env::var(VARIABLE).map(|text| all(&text)).unwrap_or_default());
        let mut failed = None;
        for point in points.iter().filter(|point| point.name == name && point.strikes()) {
            match point.action {
                Action::Kill => die(),
                Action::Fail(code) => failed = Some(io::Error::from_raw_os_error(code)),
                Action::Delay(wait) => std::thread::sleep(wait),
            }
        }
        failed
    }

    pub(crate) fn told<E>(error: io::Error, make: impl FnOnce(io::Error) -> E) -> E {
        make(error)
    }

    fn die() {
        let killed = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        tracing::error!(?killed, "this process could not kill itself");
    }

    fn all(text: &str) -> Vec<Point> {
        let mut points = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            match one(part) {
                Some(point) => points.push(point),
                None => tracing::error!(part, "OPENCLAWD_FAILPOINT: not name:nth:action; left out"),
            }
        }
        points
    }

    fn one(text: &str) -> Option<Point> {
        let mut fields = text.splitn(3, ':');
        let (name, nth, action) = (fields.next()?, fields.next()?, fields.next()?);
        let (digits, onwards) = nth.strip_suffix('+').map_or((nth, false), |digits| (digits, true));
        let action = match action {
            "kill" => Action::Kill,
            "error" => Action::Fail(EIO),
            "full" => Action::Fail(ENOSPC),
            delay => {
                let millis = delay.strip_prefix("delay(")?.strip_suffix(')')?;
                Action::Delay(Duration::from_millis(millis.parse().ok()?))
            }
        };
        let nth = digits.parse().ok().filter(|nth| *nth > 0)?;
        Some(Point { name: name.to_owned(), nth, onwards, action, seen: AtomicU64::new(0) })
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_point_strikes_at_its_number_or_from_it_on() {
            let once = one("a.b:2:kill").unwrap();
            assert_eq!([once.strikes(), once.strikes(), once.strikes()], [false, true, false]);
            let lasting = one("a.b:2+:full").unwrap();
            assert_eq!([lasting.strikes(), lasting.strikes(), lasting.strikes()], [false, true, true]);
            assert_eq!(lasting.action, Action::Fail(ENOSPC));
        }

        #[test]
        fn what_is_no_point_is_left_out() {
            let points = all("a:1:delay(5), b:0:kill,c:1,d:x:kill,e:1:explode,f:1:error,");
            let names: Vec<&str> = points.iter().map(|point| point.name.as_str()).collect();
            assert_eq!(names, ["a", "f"]);
            assert_eq!(points[0].action, Action::Delay(Duration::from_millis(5)));
        }

        #[test]
        fn a_place_nobody_named_does_nothing() {
            assert!(pass("nobody.named.this").is_none());
        }
    }
}

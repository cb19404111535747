//! What a traced process did to files and sockets, in the order in which it was done.

use std::collections::HashMap;
use std::path::PathBuf;

/// The calls that are traced.
pub(crate) const TRACED: &str = "openat,mkdir,rename,renameat,renameat2,link,linkat,unlink,unlinkat,rmdir,ftruncate,write,pwrite64,writev,\
    pwritev,sendto,sendmsg,fsync,fdatasync,close,dup,dup2,dup3,fcntl";

/// One call that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) name: String,
    /// As traced, strings in hexadecimal.
    args: String,
    pub(crate) result: i64,
    /// How many calls had ended when this one began: those it can be sure of.
    pub(crate) began: usize,
}

/// Reads a whole trace.
pub(crate) fn read(text: &str) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    let mut unfinished = HashMap::<&str, (String, usize)>::new();
    for line in text.lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        let (whole, began) = if let Some(start) = rest.strip_suffix(" <unfinished ...>") {
            unfinished.insert(thread, (start.to_owned(), calls.len()));
            continue;
        } else if let Some(resumed) = rest.strip_prefix("<... ") {
            let Some((start, began)) = unfinished.remove(thread) else { continue };
            let end = resumed.split_once(" resumed>").unwrap().1;
            (start + end, began)
        } else {
            (rest.to_owned(), calls.len())
        };
        if let Some((name, args, result)) = split(&whole)
            && result >= 0
        {
            calls.push(Call { name: name.to_owned(), args: args.to_owned(), result, began });
        }
    }
    calls
}

/// Name, arguments and result of `name(args) = result`.
fn split(call: &str) -> Option<(&str, &str, i64)> {
    let (name, rest) = call.split_once('(')?;
    let (args, result) = rest.rsplit_once(" = ")?;
    let result = result.split([' ', '<']).next()?.parse().ok()?;
    Some((name, args.trim_end().strip_suffix(')')?, result))
}

impl Call {
    /// The number an argument is, counted from 0 and before any string.
    pub(crate) fn number(&self, index: usize) -> Option<i64> {
        self.args.split(", ").nth(index)?.parse().ok()
    }

    /// The last argument.
    pub(crate) fn last_number(&self) -> Option<i64> {
        self.args.rsplit(", ").next()?.parse().ok()
    }

    /// All strings of the arguments.
    pub(crate) fn strings(&self) -> Vec<Vec<u8>> {
        self.args.split('"').skip(1).step_by(2).map(bytes).collect()
    }

    pub(crate) fn path(&self, index: usize) -> PathBuf {
        let text = self.strings().swap_remove(index);
        PathBuf::from(String::from_utf8(text).unwrap())
    }

    /// True when a flag is among the arguments.
    pub(crate) fn has(&self, flag: &str) -> bool {
        self.args.rsplit('"').next().unwrap_or(&self.args).split([',', ' ', '|']).any(|word| word == flag)
    }

    /// What was written, as far as it was.
    pub(crate) fn written(&self) -> Vec<u8> {
        let mut bytes = self.strings().concat();
        bytes.truncate(usize::try_from(self.result).unwrap());
        bytes
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    hex.split("\\x").skip(1).map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

#[test]
fn calls_are_read_in_the_order_of_their_ends() {
    let text = "7 write(3, \"\\x61\\x62\", 2 <unfinished ...>\n8 openat(AT_FDCWD, \"\\x2f\\x78\", O_WRONLY|O_CREAT|O_APPEND, 0600) = 4\n\
                7 <... write resumed>) = 1\n8 fsync(9) = -1 EBADF (Bad file descriptor)\n8 writev(4, [{iov_base=\"\\x61\", iov_len=1}, \
                {iov_base=\"\\x62\", iov_len=1}], 2) = 2\n8 +++ exited with 0 +++\n";
    let calls = read(text);
    let names: Vec<&str> = calls.iter().map(|call| call.name.as_str()).collect();
    assert_eq!(names, ["openat", "write", "writev"]);
    assert_eq!((calls[0].path(0), calls[0].result, calls[0].has("O_APPEND")), ("/x".into(), 4, true));
    assert_eq!((calls[1].written(), calls[1].began, calls[1].number(0)), (b"a".to_vec(), 0, Some(3)));
    assert_eq!(calls[2].written(), b"ab");
}

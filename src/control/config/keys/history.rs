//! Keys of the history.

use std::path::PathBuf;

use super::super::problem::Problems;
use super::super::section::{Absent, Key, Section, SectionInfo, section};
use super::super::units::{ByteSize, TimeSpan};
use super::super::value::{Entry, Value};

section! {
    /// A file with a line of JSON for each session and operation that has ended and for each thing that operators
    /// had done, below `[admin]`. Without this table the last of them are only in memory, for
    /// `/api/v1/history`. No statement is in it. `docs/ADMIN.md` explains the fields.
    HistoryFile at "admin.history", "history = { … }" {
        /// The file, in a folder that the router's user may write to. A path that does not begin with `/` counts
        /// from the folder of the config file. Only that user can read it. If it is moved or removed, a
        /// new one is begun.
        file: PathBuf = required("file = \"/var/lib/hs2router/history.jsonl\""),
        /// The size at which the file is put aside, under its name with the time of its last line, and a new one is
        /// begun; so it is at the end of each day (UTC). At least 1MiB.
        rotate: ByteSize = default("100MiB"),
        /// How long files are kept that were put aside, from their last line on. At least 1h.
        keep: TimeSpan = default("30d"),
    }
    later {}
}

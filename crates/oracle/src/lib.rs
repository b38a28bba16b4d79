//! What was promised is judged from what was seen.
//!
//! While a server is killed, cut off or starved, publishers and clients write down what they saw: a
//! [`trace`] of JSON lines with one clock. [`judge`] reads it afterwards and says, with witnesses,
//! whether the promise was kept: each event that was acknowledged reached each client in its room
//! once and in one order, or the client was told.
//!
//! ```
//! use fanfare_oracle::{Check, Line, What, judge};
//!
//! let line = |at, who: &str, what| Line { at, who: who.into(), what };
//! let news = || vec!["news".to_owned()];
//! let publish = |id: &str| What::Invoke { id: id.into(), rooms: news(), except: vec![], key: None };
//! let lines = [
//!     line(1, "ada", What::Connect { id: "a".into(), recovered: false }),
//!     line(2, "ada", What::Join { call: 1, room: "news".into() }),
//!     line(3, "ada", What::Done { call: 1 }),
//!     line(4, "press", publish("p1")),
//!     line(5, "press", What::Ok { id: "p1".into(), position: None }),
//! ];
//! assert_eq!(judge(&lines).count(Check::SilentLoss), 1); // ada never got it
//! ```

mod check;
mod clock;
mod story;
pub mod trace;
mod verdict;

pub use check::judge;
pub use clock::now;
pub use trace::{Line, What};
pub use verdict::{Check, Figures, MAX_WITNESSES, Verdict, Witness};

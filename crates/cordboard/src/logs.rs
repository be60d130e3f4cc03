//! The log: standard error, at the level of `RUST_LOG`. Standard output is for whoever started us.
//!
//! What is said while a message or another event of a call is handled carries the Call-ID, so that all lines of a call are
//! found by it.

use std::cell::RefCell;
use std::fmt;
use std::io::IsTerminal as _;

use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{Format, Full, Json, JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::config::LogFormat;

/// Begins to write. Does nothing when somebody else takes the lines of this process already.
pub(crate) fn start(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let _ = match format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).event_format(Lines::text()).try_init(),
        LogFormat::Json => lines.fmt_fields(JsonFields::new()).event_format(Lines::json()).try_init(),
    };
}

/// Begins to write for a command whose own words matter more: only what goes wrong.
pub(crate) fn start_for_a_phone() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("error"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let _ = lines.with_ansi(std::io::stderr().is_terminal()).event_format(Lines::text()).try_init();
}

thread_local! {
    /// The Call-ID of the message that this thread handles; empty between messages.
    static CALL: RefCell<String> = const { RefCell::new(String::new()) };
}

/// What this thread says belongs to this call until the guard is gone.
pub(crate) fn call(call_id: Option<&str>) -> Call {
    CALL.with_borrow_mut(|call| call.push_str(call_id.unwrap_or_default()));
    Call
}

/// What this thread says from here on belongs to this call, until the guard that is there is gone: an event can lead to
/// handlers of several calls.
pub(crate) fn go_on_with(call_id: &str) {
    CALL.with_borrow_mut(|call| {
        call.clear();
        call.push_str(call_id);
    });
}

/// See [`call`].
pub(crate) struct Call;

impl Drop for Call {
    fn drop(&mut self) {
        CALL.with_borrow_mut(String::clear);
    }
}

/// Lines of a format, with the call that they belong to.
struct Lines<F> {
    format: Format<F>,
    insert: fn(&mut String, &str),
}

impl Lines<Full> {
    fn text() -> Lines<Full> {
        let insert = |line: &mut String, call_id: &str| {
            let end = line.trim_end().len();
            line.insert_str(end, &format!(" call_id={}", call_id.escape_debug()));
        };
        Lines { format: Format::default().with_target(false), insert }
    }
}

impl Lines<Json> {
    fn json() -> Lines<Json> {
        let insert = |line: &mut String, call_id: &str| {
            let quoted = serde_json::Value::from(call_id).to_string();
            line.insert_str(1, &format!("\"call_id\":{quoted},"));
        };
        let format = Format::default().json().flatten_event(true).with_current_span(false).with_span_list(false);
        Lines { format: format.with_target(false), insert }
    }
}

impl<S, N, F> FormatEvent<S, N> for Lines<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    Format<F>: FormatEvent<S, N>,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        // Who logs while this is written, logs without a call.
        let call_id = CALL.try_with(|call| call.try_borrow().map(|call| call.clone()).unwrap_or_default());
        let Some(call_id) = call_id.ok().filter(|call_id| !call_id.is_empty()) else {
            return self.format.format_event(context, writer, event);
        };
        let mut line = String::new();
        self.format.format_event(context, Writer::new(&mut line), event)?;
        (self.insert)(&mut line, &call_id);
        writer.write_str(&line)
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Paper {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(octets)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Paper {
        type Writer = Paper;

        fn make_writer(&'a self) -> Paper {
            self.clone()
        }
    }

    fn said(paper: &Paper) -> Vec<String> {
        String::from_utf8(paper.0.lock().unwrap().clone()).unwrap().lines().map(str::to_owned).collect()
    }

    fn say() {
        let handled = call(Some("a\"b@host"));
        tracing::warn!(application = "hello", "a handler has failed");
        drop(handled);
        let turn = call(None);
        go_on_with("c@host");
        tracing::warn!("a timer's handler");
        drop(turn);
        tracing::warn!("nothing to do with a call");
    }

    #[test]
    fn what_is_said_about_a_call_carries_its_call_id_as_json() {
        let paper = Paper::default();
        let lines = tracing_subscriber::fmt().with_writer(paper.clone());
        let lines = lines.fmt_fields(JsonFields::new()).event_format(Lines::json()).finish();
        tracing::subscriber::with_default(lines, say);
        let said = said(&paper);
        let line = |number: usize| serde_json::from_str::<serde_json::Value>(&said[number]).unwrap();
        assert_eq!((line(0)["call_id"].as_str(), line(0)["application"].as_str()), (Some("a\"b@host"), Some("hello")));
        assert_eq!(line(0)["level"].as_str(), Some("WARN"));
        assert_eq!(line(1)["call_id"].as_str(), Some("c@host"));
        assert!(line(2).get("call_id").is_none());
    }

    #[test]
    fn what_is_said_about_a_call_carries_its_call_id_as_text() {
        let paper = Paper::default();
        let lines = tracing_subscriber::fmt().with_writer(paper.clone()).event_format(Lines::text()).finish();
        tracing::subscriber::with_default(lines, say);
        let said = said(&paper);
        assert!(said[0].ends_with(" call_id=a\\\"b@host"), "{}", said[0]);
        assert!(said[1].ends_with(" call_id=c@host"), "{}", said[1]);
        assert!(said[2].ends_with("nothing to do with a call"), "{}", said[2]);
    }
}

//! Call detail records in a file: a line of JSON for each call that is over.
//!
//! Workers hand records over and do not wait; a thread writes them. When it is so far behind that its queue is full,
//! records are lost and counted in the log.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use applications::cdr::{CallDetailRecord, CdrSink};

use crate::config::ConfigError;

/// Records that wait for the thread.
const QUEUE: usize = 10_000;

/// Where the records of all shards go.
#[derive(Clone)]
pub struct CallRecords {
    file: Arc<Path>,
    queue: Option<SyncSender<CallDetailRecord>>,
}

struct Sink(Option<SyncSender<CallDetailRecord>>);

impl CallRecords {
    pub(super) fn new(file: PathBuf) -> CallRecords {
        CallRecords { file: file.into(), queue: None }
    }

    /// Opens the file and writes to it from now on, until all sinks are gone.
    pub(crate) fn open(&mut self) -> Result<(), ConfigError> {
        let opened = OpenOptions::new().create(true).append(true).open(&self.file);
        let file = opened.map_err(|error| ConfigError::unreadable(&self.file, &error))?;
        let (queue, records) = sync_channel(QUEUE);
        let spawned = std::thread::Builder::new().name("call-records".into()).spawn(move || write(file, &records));
        spawned.map_err(|error| ConfigError::unreadable(&self.file, &error))?;
        self.queue = Some(queue);
        Ok(())
    }

    pub(super) fn sink(&self) -> Box<dyn CdrSink> {
        Box::new(Sink(self.queue.clone()))
    }
}

impl CdrSink for Sink {
    fn write(&self, record: &CallDetailRecord) {
        let Some(queue) = &self.0 else { return };
        if queue.try_send(record.clone()).is_err() {
            tracing::error!("a call detail record is lost: the disk is too slow");
        }
    }
}

/// Writes what comes, and flushes whenever nothing waits.
fn write(file: File, records: &Receiver<CallDetailRecord>) {
    let mut file = BufWriter::new(file);
    while let Ok(record) = records.recv() {
        let mut next = Some(record);
        while let Some(record) = next {
            write_line(&mut file, &record);
            next = records.try_recv().ok();
        }
        if let Err(error) = file.flush() {
            tracing::error!(%error, "call detail records can't be written");
        }
    }
}

fn write_line(file: &mut BufWriter<File>, record: &CallDetailRecord) {
    let written = serde_json::to_writer(&mut *file, record).map_err(std::io::Error::from);
    if let Err(error) = written.and_then(|()| file.write_all(b"\n")) {
        tracing::error!(%error, "a call detail record can't be written");
    }
}

#[cfg(test)]
mod tests {
    use applications::cdr::{EndedBy, Milliseconds};

    use super::*;

    #[test]
    fn every_record_is_a_line_of_json_in_the_file() {
        let file = std::env::temp_dir().join(format!("cordboard-call-records-{}.jsonl", std::process::id()));
        let mut records = CallRecords::new(file.clone());
        records.open().unwrap();
        let sink = records.sink();
        drop(records);
        for number in 0..3 {
            sink.write(&CallDetailRecord {
                call_id: format!("call-{number}"),
                callee_call_id: None,
                from: "sip:alice@example.com".into(),
                to: "sip:bob@example.com".into(),
                started: Milliseconds(1),
                answered: None,
                ended: Some(Milliseconds(2)),
                talked: Milliseconds(0),
                ended_by: Some(EndedBy::Server),
                status: 402,
                reason: None,
            });
        }
        drop(sink);
        let lines = (0..200).find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            let text = std::fs::read_to_string(&file).ok()?;
            (text.lines().count() == 3).then_some(text)
        });
        std::fs::remove_file(&file).unwrap();
        let lines = lines.expect("three lines");
        let last: CallDetailRecord = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
        assert_eq!((last.call_id.as_str(), last.status), ("call-2", 402));
    }
}

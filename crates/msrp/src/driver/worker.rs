//! The sessions of an engine: the pure endpoint with what it has no hands for, files and whoever is told.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::command::{ChatPlan, FileError, IncomingFile, MsrpCommand, MsrpEvent, OutgoingFile, Remote, StreamKey};
use super::files::{Clerk, Done, Job};
use super::network::{Core, LinkId, Order};
use super::relayed::{News, Relayed};
use super::tls::chosen;
use crate::chunk::FailureReport;
use crate::endpoint::{
    Certificate, CommandError, ConnectionId, Content, EndReason, Endpoint, Input, MessageId, OutgoingMessage, Output,
    RemotePlan, Role, SessionEvent, SessionKey, SessionPlan, Verdict,
};

/// How often somebody is told how far a file is.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);
/// Octets that wait for the disk before no more are read from their connection, and before reading goes on.
const HIGH: usize = 4 * 1024 * 1024;
const LOW: usize = 1024 * 1024;

/// Who is told of events.
pub(super) type Tell = Box<dyn Fn(MsrpEvent) + Send>;

/// See the module's text.
pub(super) struct Worker {
    endpoint: Endpoint,
    streams: HashMap<StreamKey, Stream>,
    relayed: Relayed,
    clerk: Clerk,
    tell: Tell,
    orders: VecDeque<Order>,
    /// The link whose octets are being taken.
    reading: Option<LinkId>,
    /// Links that wait for the disk, and for which streams.
    waiting: Vec<(LinkId, StreamKey)>,
}

#[derive(Default)]
struct Stream {
    file: Option<Transfer>,
    /// Why what still comes of a file is refused.
    refusal: Option<(u16, Arc<str>)>,
    /// Why it has no relay any more.
    lost: Option<Arc<str>>,
}

/// A file on its way.
enum Transfer {
    Sending { file: OutgoingFile, size: u64, told: Option<Instant> },
    Receiving(Box<Receiving>),
}

struct Receiving {
    file: IncomingFile,
    id: Option<MessageId>,
    total: Option<u64>,
    /// Octets that came, without those that we had.
    came: u64,
    /// Octets that the disk has.
    written: u64,
    told: Option<Instant>,
}

impl Worker {
    pub(super) fn new(endpoint: Endpoint, clerk: Clerk, tell: Tell) -> Worker {
        Worker {
            endpoint,
            streams: HashMap::new(),
            relayed: Relayed::default(),
            clerk,
            tell,
            orders: VecDeque::new(),
            reading: None,
            waiting: Vec::new(),
        }
    }

    /// Makes our end of a session, which is reached at this address, or through its relay.
    pub(super) fn prepare(
        &mut self,
        now: Instant,
        stream: StreamKey,
        plan: &ChatPlan,
        address: SocketAddr,
        fingerprint: Arc<str>,
    ) {
        let host = plan.host.clone().unwrap_or_else(|| match address.ip() {
            IpAddr::V4(ip) => ip.to_string().into(),
            IpAddr::V6(ip) => format!("[{ip}]").into(),
        });
        let session = SessionPlan {
            host,
            port: address.port(),
            is_secure: plan.goes_by_tls(),
            accept_types: plan.accept_types.clone(),
            max_message: plan.max_message,
            asks: plan.asks || plan.receives_file,
            gives_nicknames: plan.gives_nicknames,
            streams_incoming: plan.receives_file,
            by_session_id_only: plan.by_session_id,
        };
        match self.endpoint.open(now, SessionKey(stream.0), session) {
            Ok(path) => {
                self.streams.insert(stream, Stream::default());
                if let Some(relay) = &plan.relay {
                    let us = path.last().clone();
                    return self.relayed.begin(now, &mut self.endpoint, stream, relay, us, address);
                }
                let fingerprint = plan.is_secure.then_some(fingerprint);
                (self.tell)(MsrpEvent::Prepared { stream, path, address, fingerprint });
            }
            Err(error) => self.failed(stream, format!("no session: {error}")),
        }
    }

    /// What has become of a stream at its relay.
    fn relay_told(&mut self, now: Instant, (stream, news): (StreamKey, News)) {
        match news {
            News::Ready { path, address } => {
                (self.tell)(MsrpEvent::Prepared { stream, path, address, fingerprint: None });
            }
            News::Failed(why) => {
                self.close(now, stream);
                self.failed(stream, why);
            }
            News::Lost(why) => {
                if let Some(known) = self.streams.get_mut(&stream) {
                    known.lost = Some(why);
                    self.endpoint.close(now, SessionKey(stream.0));
                }
            }
        }
    }

    pub(super) fn failed(&mut self, stream: StreamKey, reason: impl Into<Arc<str>>) {
        (self.tell)(MsrpEvent::Failed { stream, reason: reason.into() });
    }

    /// Carries out what concerns a stream that is there. Preparing one needs the network, too.
    pub(super) fn obey(&mut self, now: Instant, command: MsrpCommand) {
        match command {
            MsrpCommand::Prepare { .. } => {}
            MsrpCommand::Apply { stream, remote } => self.apply(now, stream, remote),
            MsrpCommand::Send { stream, message } => self.send(now, stream, message),
            MsrpCommand::SendFile { stream, file } => match self.streams.get_mut(&stream) {
                Some(known) => {
                    self.clerk.give(Job::Send { stream, path: file.path.clone(), from: file.from });
                    known.file = Some(Transfer::Sending { file, size: 0, told: None });
                }
                None => self.file_ended(stream, None, Some(FileError::Lost("there is no such stream".into()))),
            },
            MsrpCommand::ReceiveFile { stream, file } => self.receive(stream, file),
            MsrpCommand::Answer { stream, id, verdict } => {
                unheeded(self.endpoint.accept(now, SessionKey(stream.0), &id, verdict));
            }
            MsrpCommand::Abort { stream, id } => {
                unheeded(self.endpoint.abort(now, SessionKey(stream.0), &id));
            }
            MsrpCommand::Nickname { stream, nickname } => {
                if let Err(error) = self.endpoint.nickname(now, SessionKey(stream.0), &nickname) {
                    let reason = error.to_string().into();
                    (self.tell)(MsrpEvent::NicknameAnswered { stream, code: 0, reason });
                }
            }
            MsrpCommand::AnswerNickname { stream, transaction, code, reason } => {
                let key = SessionKey(stream.0);
                unheeded(self.endpoint.answer_nickname(now, key, transaction, code, &reason));
            }
            MsrpCommand::Close { stream } => self.close(now, stream),
        }
    }

    pub(super) fn close_all(&mut self, now: Instant) {
        let streams: Vec<StreamKey> = self.streams.keys().copied().collect();
        for stream in streams {
            self.close(now, stream);
        }
    }

    fn apply(&mut self, now: Instant, stream: StreamKey, remote: Remote) {
        let Remote { path, we_connect, next_hop, fingerprints } = remote;
        let role = if we_connect { Role::Active } else { Role::Passive };
        let mut plan = RemotePlan::direct(path, role);
        plan.next_hop = next_hop;
        // A peer behind its relay is met as that, by name.
        plan.fingerprint = if plan.path.uris().len() == 1 { chosen(&fingerprints) } else { None };
        if let Some((relays, connection)) = self.relayed.way(stream) {
            (plan.relays, plan.connection) = (relays, Some(connection));
        }
        let bound = self.endpoint.bind(now, SessionKey(stream.0), plan);
        unheeded(bound);
    }

    fn send(&mut self, now: Instant, stream: StreamKey, message: OutgoingMessage) {
        let id = message.id.clone();
        // Each message ends in one way or the other, also that on a stream that has just gone.
        if let Err(error) = self.endpoint.send(now, SessionKey(stream.0), message) {
            let reason = error.to_string().into();
            (self.tell)(MsrpEvent::NotDelivered { stream, id, code: 0, reason });
        }
    }

    fn receive(&mut self, stream: StreamKey, file: IncomingFile) {
        let Some(known) = self.streams.get_mut(&stream) else { return };
        self.clerk.give(Job::Receive {
            stream,
            folder: file.folder.clone(),
            name: file.name.clone(),
            from: file.from,
            hash: file.hash,
        });
        let (total, came, written) = (file.size, 0, 0);
        let receiving = Receiving { file, id: None, total, came, written, told: None };
        known.file = Some(Transfer::Receiving(Box::new(receiving)));
    }

    fn close(&mut self, now: Instant, stream: StreamKey) {
        if self.streams.remove(&stream).is_some() {
            self.endpoint.close(now, SessionKey(stream.0));
            self.relayed.leave(now, &mut self.endpoint, stream);
            self.clerk.give(Job::Forget { stream });
            self.release(stream);
        }
    }

    // ---- what the endpoint tells ------------------------------------------------------------------------------------

    fn told(&mut self, now: Instant, stream: StreamKey, event: SessionEvent) {
        if !self.streams.contains_key(&stream) {
            return;
        }
        match event {
            SessionEvent::Bound => (self.tell)(MsrpEvent::Bound { stream }),
            SessionEvent::Ended { reason } => self.ended(now, stream, reason),
            SessionEvent::Message(message) => (self.tell)(MsrpEvent::Got { stream, message }),
            SessionEvent::Data { id, at, bytes, total, is_last, .. } => {
                self.data(now, stream, id, at, bytes, total, is_last);
            }
            SessionEvent::Aborted { .. } => {
                if let Some(Transfer::Receiving(_)) = self.file(stream) {
                    let why = FileError::Refused(0, "broken off by the other side".into());
                    self.file_ended(stream, None, Some(why));
                    self.clerk.give(Job::Forget { stream });
                }
            }
            SessionEvent::Progress { acknowledged, .. } => self.taken(now, stream, acknowledged),
            SessionEvent::Wanted { up_to, .. } => self.clerk.give(Job::Read { stream, length: up_to }),
            SessionEvent::Delivered { id, code, reason } => match self.outgoing(stream, &id) {
                Some(path) => self.file_ended(stream, Some(path), None),
                None => (self.tell)(MsrpEvent::Delivered { stream, id, code, reason }),
            },
            SessionEvent::NotDelivered { id, code, reason } => match self.outgoing(stream, &id) {
                Some(_) => {
                    let why = match code {
                        0 => FileError::Lost(reason),
                        code => FileError::Refused(code, reason),
                    };
                    self.clerk.give(Job::Forget { stream });
                    self.file_ended(stream, None, Some(why));
                }
                None => (self.tell)(MsrpEvent::NotDelivered { stream, id, code, reason }),
            },
            SessionEvent::Nickname { transaction, nickname } => {
                (self.tell)(MsrpEvent::Nickname { stream, transaction, nickname });
            }
            SessionEvent::NicknameAnswered { code, reason } => {
                (self.tell)(MsrpEvent::NicknameAnswered { stream, code, reason });
            }
        }
    }

    fn ended(&mut self, now: Instant, stream: StreamKey, reason: EndReason) {
        let lost = self.streams.get_mut(&stream).and_then(|known| known.lost.take());
        let reason = lost.map_or(reason, EndReason::ConnectionLost);
        if self.file(stream).is_some() {
            self.file_ended(stream, None, Some(FileError::Lost(reason.to_string().into())));
        }
        self.streams.remove(&stream);
        self.relayed.leave(now, &mut self.endpoint, stream);
        self.clerk.give(Job::Forget { stream });
        self.release(stream);
        (self.tell)(MsrpEvent::Closed { stream, reason });
    }

    fn file(&mut self, stream: StreamKey) -> Option<&mut Transfer> {
        self.streams.get_mut(&stream)?.file.as_mut()
    }

    /// Where the file is that goes out with this id.
    fn outgoing(&mut self, stream: StreamKey, id: &MessageId) -> Option<PathBuf> {
        match self.file(stream)? {
            Transfer::Sending { file, .. } if file.id == *id => Some(file.path.clone()),
            _ => None,
        }
    }

    #[expect(clippy::too_many_arguments, reason = "what an event says")]
    fn data(
        &mut self,
        now: Instant,
        stream: StreamKey,
        id: MessageId,
        at: u64,
        bytes: Bytes,
        total: Option<u64>,
        is_last: bool,
    ) {
        let reading = self.reading;
        let refusal = self.streams.get_mut(&stream).and_then(|known| known.refusal.take());
        if let Some((code, reason)) = refusal {
            let verdict = Verdict::Refuse(code, reason);
            return unheeded(self.endpoint.accept(now, SessionKey(stream.0), &id, verdict));
        }
        let Some(Transfer::Receiving(receiving)) = self.file(stream) else { return };
        if receiving.id.as_ref().is_some_and(|known| *known != id) {
            return;
        }
        receiving.id = Some(id);
        let rest = receiving.file.size.map(|size| size.saturating_sub(receiving.file.from));
        let length = bytes.len() as u64;
        let too_long =
            rest.is_some_and(|rest| receiving.came + length > rest || total.is_some_and(|total| total > rest));
        if too_long {
            return self.give_up(now, stream, FileError::TooLong, 413, "more than was announced");
        }
        if at != receiving.came {
            return self.give_up(now, stream, FileError::Lost("octets are missing".into()), 413, "octets are missing");
        }
        receiving.came += length;
        receiving.total = receiving.file.size.or(total.map(|total| total + receiving.file.from));
        let waits = receiving.came - receiving.written;
        if !bytes.is_empty() {
            self.clerk.give(Job::Write { stream, bytes });
        }
        if is_last {
            self.clerk.give(Job::Finish { stream });
        } else if waits > HIGH as u64
            && let Some(link) = reading
            && !self.waiting.contains(&(link, stream))
        {
            self.waiting.push((link, stream));
        }
    }

    /// Tells the peer that no more of a file is wanted, and us that it will never be there.
    fn give_up(&mut self, now: Instant, stream: StreamKey, why: FileError, code: u16, reason: &str) {
        let Some(Transfer::Receiving(receiving)) = self.file(stream) else { return };
        match receiving.id.clone() {
            Some(id) => {
                let verdict = Verdict::Refuse(code, reason.into());
                unheeded(self.endpoint.accept(now, SessionKey(stream.0), &id, verdict));
            }
            // Nothing has come yet: the first of it is answered so.
            None => {
                if let Some(known) = self.streams.get_mut(&stream) {
                    known.refusal = Some((code, reason.into()));
                }
            }
        }
        self.clerk.give(Job::Forget { stream });
        self.release(stream);
        self.file_ended(stream, None, Some(why));
    }

    /// The peer has so many octets of a file of ours.
    fn taken(&mut self, now: Instant, stream: StreamKey, acknowledged: u64) {
        let Some(Transfer::Sending { file, size, told }) = self.file(stream) else { return };
        let (transferred, total) = (file.from + acknowledged, Some(file.from + *size));
        if is_due(now, told) {
            (self.tell)(MsrpEvent::FileProgress { stream, transferred, total });
        }
    }

    fn file_ended(&mut self, stream: StreamKey, path: Option<PathBuf>, error: Option<FileError>) {
        if let Some(known) = self.streams.get_mut(&stream) {
            known.file = None;
        }
        (self.tell)(MsrpEvent::FileEnded { stream, path, error });
    }

    /// Nothing waits for this stream's disk any more.
    fn release(&mut self, stream: StreamKey) {
        let (freed, waiting) = self.waiting.iter().partition(|(_, of)| *of == stream);
        self.waiting = waiting;
        let freed: Vec<(LinkId, StreamKey)> = freed;
        self.orders.extend(freed.into_iter().map(|(link, _)| Order::Read(link)));
    }

    // ---- what the clerk tells ---------------------------------------------------------------------------------------

    pub(super) fn clerk(&mut self, now: Instant, done: Done) {
        match done {
            Done::Opened { stream, size } => self.opened(now, stream, size),
            Done::Got { stream, bytes, is_last } => {
                if let Some(Transfer::Sending { file, .. }) = self.file(stream) {
                    let id = file.id.clone();
                    unheeded(self.endpoint.supply(now, SessionKey(stream.0), &id, bytes, is_last));
                }
            }
            Done::Written { stream, length } => self.written(now, stream, length),
            Done::Finished { stream, path, hash_matches } => match hash_matches {
                Some(false) => self.give_up(now, stream, FileError::Hash, 413, "another hash than announced"),
                _ => self.stored(now, stream, path),
            },
            Done::Failed { stream, why, disk_full } => match self.file(stream) {
                Some(Transfer::Receiving(_)) => {
                    let why = if disk_full { FileError::DiskFull } else { FileError::Disk(why) };
                    self.give_up(now, stream, why, 413, "it can't be stored");
                }
                Some(Transfer::Sending { file, .. }) => {
                    let id = file.id.clone();
                    unheeded(self.endpoint.abort(now, SessionKey(stream.0), &id));
                    self.file_ended(stream, None, Some(FileError::Disk(why)));
                }
                None => {}
            },
        }
    }

    fn opened(&mut self, now: Instant, stream: StreamKey, length: u64) {
        let Some(Transfer::Sending { file, size, .. }) = self.file(stream) else { return };
        *size = length;
        let content = match length {
            0 => Content::Whole(Bytes::new()),
            _ => Content::Streamed { size: Some(length), from: 0 },
        };
        let message = OutgoingMessage {
            id: file.id.clone(),
            content_type: file.content_type.clone(),
            content,
            success_report: true,
            failure_report: FailureReport::Yes,
        };
        if let Err(error) = self.endpoint.send(now, SessionKey(stream.0), message) {
            self.file_ended(stream, None, Some(FileError::Lost(error.to_string().into())));
        }
    }

    fn written(&mut self, now: Instant, stream: StreamKey, length: usize) {
        let Some(Transfer::Receiving(receiving)) = self.file(stream) else { return };
        receiving.written += length as u64;
        let (transferred, total) = (receiving.file.from + receiving.written, receiving.total);
        let waits = receiving.came - receiving.written;
        if is_due(now, &mut receiving.told) {
            (self.tell)(MsrpEvent::FileProgress { stream, transferred, total });
        }
        if waits < LOW as u64 {
            self.release(stream);
        }
    }

    /// Only now the peer is told that its file has arrived.
    fn stored(&mut self, now: Instant, stream: StreamKey, path: PathBuf) {
        let Some(Transfer::Receiving(receiving)) = self.file(stream) else { return };
        let (transferred, total) = (receiving.file.from + receiving.written, receiving.total);
        if let Some(id) = receiving.id.clone() {
            unheeded(self.endpoint.accept(now, SessionKey(stream.0), &id, Verdict::Deliver));
        }
        (self.tell)(MsrpEvent::FileProgress { stream, transferred, total });
        self.file_ended(stream, Some(path), None);
    }
}

/// A session that has just ended takes no more orders; what became of it was told.
fn unheeded(done: Result<(), CommandError>) {
    if let Err(error) = done {
        tracing::debug!(%error, "an order came too late");
    }
}

fn is_due(now: Instant, told: &mut Option<Instant>) -> bool {
    let due = told.is_none_or(|last| now.duration_since(last) >= PROGRESS_EVERY);
    if due {
        *told = Some(now);
    }
    due
}

impl Core for Worker {
    fn accepted(&mut self, now: Instant, link: LinkId, is_secure: bool, certificate: Option<Arc<dyn Certificate>>) {
        self.endpoint.handle(now, Input::Accepted { connection: ConnectionId(link.0), is_secure, certificate });
    }

    fn connected(&mut self, now: Instant, link: LinkId) {
        self.endpoint.handle(now, Input::Connected { connection: ConnectionId(link.0) });
    }

    fn received(&mut self, now: Instant, link: LinkId, octets: Bytes) {
        self.endpoint.handle(now, Input::Received { connection: ConnectionId(link.0), bytes: octets });
        self.reading = Some(link);
    }

    fn closed(&mut self, now: Instant, link: LinkId, why: Arc<str>) {
        self.waiting.retain(|(waits, _)| *waits != link);
        self.endpoint.handle(now, Input::Closed { connection: ConnectionId(link.0), reason: why });
    }

    fn transmit(&mut self, now: Instant, link: LinkId, out: &mut BytesMut, room: usize) -> bool {
        self.endpoint.poll_transmit(now, ConnectionId(link.0), out, room)
    }

    fn transmit_chunk(&mut self, now: Instant, link: LinkId, out: &mut BytesMut, room: usize) -> bool {
        self.endpoint.poll_chunk(now, ConnectionId(link.0), out, room)
    }

    fn has_room(&self, link: LinkId) -> bool {
        self.waiting.iter().all(|(waits, _)| *waits != link)
    }

    fn poll_order(&mut self, now: Instant) -> Option<Order> {
        loop {
            if let Some(order) = self.orders.pop_front() {
                return Some(order);
            }
            match self.endpoint.poll_output() {
                Some(Output::Connect { connection, host, port, is_secure, fingerprint }) => {
                    let link = LinkId(connection.0);
                    return Some(Order::Connect { link, host, port, is_secure, fingerprint });
                }
                Some(Output::Close { connection }) => return Some(Order::Close(LinkId(connection.0))),
                Some(Output::Transmit { connection }) => return Some(Order::Transmit(LinkId(connection.0))),
                Some(Output::Event { key, event }) => self.told(now, StreamKey(key.0), event),
                Some(Output::Answered { request, head, .. }) => {
                    let news = self.relayed.answered(now, &mut self.endpoint, request, head.as_deref());
                    news.into_iter().for_each(|news| self.relay_told(now, news));
                }
                // A request waits for its connection with the endpoint; only the end of one is news.
                Some(Output::Connection { connection, gone }) => {
                    let news = gone.map(|why| self.relayed.gone(connection, &why)).unwrap_or_default();
                    news.into_iter().for_each(|news| self.relay_told(now, news));
                }
                None => {
                    self.reading = None;
                    return None;
                }
            }
        }
    }

    fn next_timeout(&self) -> Option<Instant> {
        [self.endpoint.next_timeout(), self.relayed.next_timeout()].into_iter().flatten().min()
    }

    fn timeout(&mut self, now: Instant) {
        self.endpoint.handle_timeout(now);
        let news = self.relayed.timeout(now, &mut self.endpoint);
        news.into_iter().for_each(|news| self.relay_told(now, news));
    }
}

//! Many datagrams per system call: `recvmmsg` and `sendmmsg` on a non-blocking socket, and the two
//! buffer-size options that only `setsockopt` knows. What a datagram means is [`super`]'s.
//!
//! The one file of the project with unsafe code.
//! Exception of the lint `unsafe_code`, 2026-11: neither the standard library nor `socket2` wraps the batched calls;
//! to be removed when one of them does.
#![allow(unsafe_code)]

use std::io;
use std::mem::{self, MaybeUninit};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use bytes::{Bytes, BytesMut};

/// Datagrams per system call.
pub(crate) const BATCH: usize = 64;

/// The largest UDP payload there is fits: the length field has 16 bits.
const DATAGRAM_ROOM: usize = 65_536;

/// Received datagrams are copied, exactly their length, into chunks of this size that they share.
/// A kept slice pins at most one chunk; an idle socket holds none.
const CHUNK: usize = 16 * 1024;

/// Receives up to [`BATCH`] datagrams per call.
///
/// The kernel writes into one large area of virtual memory that is never cleared: a page of it is touched only when a
/// datagram was long enough to reach it.
pub(crate) struct RecvBatch {
    room: Box<[MaybeUninit<u8>]>,
    addresses: Box<[libc::sockaddr_storage]>,
    slots: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
    chunk: BytesMut,
}

impl RecvBatch {
    pub(crate) fn new() -> Self {
        // SAFETY: all-zero is a valid value of these plain C structures.
        let address = unsafe { mem::zeroed::<libc::sockaddr_storage>() };
        // SAFETY: as above; null pointers with zero lengths.
        let header = unsafe { mem::zeroed::<libc::mmsghdr>() };
        let slot = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
        RecvBatch {
            room: Box::new_uninit_slice(BATCH * DATAGRAM_ROOM),
            addresses: vec![address; BATCH].into_boxed_slice(),
            slots: vec![slot; BATCH].into_boxed_slice(),
            headers: vec![header; BATCH].into_boxed_slice(),
            chunk: BytesMut::new(),
        }
    }

    /// Receives what is there, at most [`BATCH`], and hands each datagram to `deliver`. Returns how many there were.
    pub(crate) fn receive(
        &mut self,
        socket: BorrowedFd<'_>,
        mut deliver: impl FnMut(SocketAddr, Bytes),
    ) -> io::Result<usize> {
        self.aim();
        // SAFETY: `headers` has BATCH entries whose pointers `aim` has just set to memory that `self` owns, that stays
        // where it is during the call, and whose lengths are the ones given.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
        for index in 0..received.min(BATCH) {
            let length = (self.headers[index].msg_len as usize).min(DATAGRAM_ROOM);
            let Some(from) = socket_address(&self.addresses[index]) else {
                continue;
            };
            // SAFETY: the kernel has written `length` octets from the start of this datagram's room.
            let datagram = unsafe {
                std::slice::from_raw_parts(self.room.as_ptr().add(index * DATAGRAM_ROOM).cast::<u8>(), length)
            };
            deliver(from, copy_into(&mut self.chunk, datagram));
        }
        Ok(received)
    }

    /// Points every header at its address and its room; the kernel has overwritten the lengths of the last call.
    fn aim(&mut self) {
        for index in 0..BATCH {
            self.slots[index] = libc::iovec {
                // In bounds: `room` is BATCH times DATAGRAM_ROOM long.
                iov_base: self.room[index * DATAGRAM_ROOM..].as_mut_ptr().cast(),
                iov_len: DATAGRAM_ROOM,
            };
            let header = &mut self.headers[index].msg_hdr;
            header.msg_name = (&raw mut self.addresses[index]).cast();
            header.msg_namelen = mem::size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            header.msg_iov = &raw mut self.slots[index];
            header.msg_iovlen = 1;
        }
    }
}

/// Sends up to [`BATCH`] datagrams per call, each to its own destination.
pub(crate) struct SendBatch {
    addresses: Box<[libc::sockaddr_storage]>,
    slots: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
}

impl SendBatch {
    pub(crate) fn new() -> Self {
        // SAFETY: all-zero is a valid value of these plain C structures.
        let address = unsafe { mem::zeroed::<libc::sockaddr_storage>() };
        // SAFETY: as above.
        let header = unsafe { mem::zeroed::<libc::mmsghdr>() };
        let slot = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
        SendBatch {
            addresses: vec![address; BATCH].into_boxed_slice(),
            slots: vec![slot; BATCH].into_boxed_slice(),
            headers: vec![header; BATCH].into_boxed_slice(),
        }
    }

    /// Sends the first of `datagrams`, at most [`BATCH`]; says how many the kernel took, which is at least one.
    /// An error concerns the first one alone.
    pub(crate) fn send<'a>(
        &mut self,
        socket: BorrowedFd<'_>,
        datagrams: impl Iterator<Item = (SocketAddr, &'a Bytes)>,
    ) -> io::Result<usize> {
        let mut count = 0;
        for (to, bytes) in datagrams.take(BATCH) {
            let length = write_address(&mut self.addresses[count], to);
            self.slots[count] = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
            let header = &mut self.headers[count].msg_hdr;
            header.msg_name = (&raw mut self.addresses[count]).cast();
            header.msg_namelen = length;
            header.msg_iov = &raw mut self.slots[count];
            header.msg_iovlen = 1;
            count += 1;
        }
        if count == 0 {
            return Ok(0);
        }
        // SAFETY: the first `count` headers point at addresses and slots of `self` and at the octets of `datagrams`,
        // which are borrowed for 'a and so outlive the call; the kernel only reads them.
        let sent = unsafe {
            libc::sendmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                count as libc::c_uint,
                libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
            )
        };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }
}

/// Which buffer of a socket.
#[derive(Clone, Copy)]
pub(crate) enum SocketBuffer {
    Receive,
    Send,
}

/// How full the kernel's receive buffer of a socket is, from 0 to 1 and somewhat above; 0 when the kernel does not tell.
pub(crate) fn receive_fill(socket: &impl AsRawFd) -> f32 {
    // linux/sock_diag.h: SK_MEMINFO_RMEM_ALLOC, SK_MEMINFO_RCVBUF, and seven more.
    let mut info = [0u32; 9];
    let mut len = mem::size_of_val(&info) as libc::socklen_t;
    // SAFETY: `info` is valid for `len` octets, and the kernel writes no more than that.
    let result = unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_MEMINFO, info.as_mut_ptr().cast(), &raw mut len)
    };
    match (result, info[1]) {
        (0, 1..) => info[0] as f32 / info[1] as f32,
        _ => 0.0,
    }
}

/// Asks for a buffer beyond the system's limit (needs CAP_NET_ADMIN); the caller falls back to the ordinary option.
pub(crate) fn force_buffer_size(socket: BorrowedFd<'_>, buffer: SocketBuffer, octets: usize) -> io::Result<()> {
    let option = match buffer {
        SocketBuffer::Receive => libc::SO_RCVBUFFORCE,
        SocketBuffer::Send => libc::SO_SNDBUFFORCE,
    };
    let value = libc::c_int::try_from(octets).unwrap_or(libc::c_int::MAX);
    // SAFETY: the option's value is one `int`, passed by pointer with its size.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            (&raw const value).cast(),
            mem::size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn copy_into(chunk: &mut BytesMut, datagram: &[u8]) -> Bytes {
    if chunk.capacity() < datagram.len() {
        // Not `reserve`: it would move a larger and larger chunk along with its slices.
        *chunk = BytesMut::with_capacity(CHUNK.max(datagram.len()));
    }
    chunk.extend_from_slice(datagram);
    chunk.split().freeze()
}

fn socket_address(storage: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match libc::c_int::from(storage.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that this is a sockaddr_in, and a sockaddr_storage is large and aligned enough.
            let v4 = unsafe { &*(&raw const *storage).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
            Some(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above for a sockaddr_in6.
            let v6 = unsafe { &*(&raw const *storage).cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            let port = u16::from_be(v6.sin6_port);
            // The flow label is a mark of the packet, not of the peer: two addresses that differ only in it are equal.
            Some(SocketAddrV6::new(ip, port, 0, v6.sin6_scope_id).into())
        }
        _ => None,
    }
}

fn write_address(storage: &mut libc::sockaddr_storage, address: SocketAddr) -> libc::socklen_t {
    match address {
        SocketAddr::V4(address) => {
            // SAFETY: a sockaddr_storage is large and aligned enough for every address; all octets are initialised.
            let v4 = unsafe { &mut *(&raw mut *storage).cast::<libc::sockaddr_in>() };
            v4.sin_family = libc::AF_INET as libc::sa_family_t;
            v4.sin_port = address.port().to_be();
            v4.sin_addr.s_addr = u32::from(*address.ip()).to_be();
            mem::size_of::<libc::sockaddr_in>() as libc::socklen_t
        }
        SocketAddr::V6(address) => {
            // SAFETY: as above.
            let v6 = unsafe { &mut *(&raw mut *storage).cast::<libc::sockaddr_in6>() };
            v6.sin6_family = libc::AF_INET6 as libc::sa_family_t;
            v6.sin6_port = address.port().to_be();
            v6.sin6_flowinfo = 0;
            v6.sin6_addr.s6_addr = address.ip().octets();
            v6.sin6_scope_id = address.scope_id();
            mem::size_of::<libc::sockaddr_in6>() as libc::socklen_t
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    fn pair(ip: &str) -> (UdpSocket, UdpSocket) {
        let a = UdpSocket::bind(ip).unwrap();
        let b = UdpSocket::bind(ip).unwrap();
        a.set_nonblocking(true).unwrap();
        b.set_nonblocking(true).unwrap();
        (a, b)
    }

    fn carries_a_batch(ip: &str) {
        let (alice, bob) = pair(ip);
        let to = bob.local_addr().unwrap();
        let sent: Vec<Bytes> = (0..100usize).map(|n| Bytes::from(vec![n as u8; n * 9])).collect();
        let mut batch = SendBatch::new();
        let mut done = 0;
        while done < sent.len() {
            let rest = sent[done..].iter().map(|bytes| (to, bytes));
            done += batch.send(alice.as_fd(), rest).unwrap();
        }
        let mut received = Vec::new();
        let mut batch = RecvBatch::new();
        while received.len() < sent.len() {
            batch
                .receive(bob.as_fd(), |from, bytes| {
                    assert_eq!(from, alice.local_addr().unwrap());
                    received.push(bytes);
                })
                .unwrap();
        }
        assert_eq!(received, sent);
        let empty = batch.receive(bob.as_fd(), |_, _| ()).unwrap_err();
        assert_eq!(empty.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_hundred_datagrams_arrive_exact_and_in_order_over_ipv4() {
        carries_a_batch("127.0.0.1:0");
    }

    #[test]
    fn a_hundred_datagrams_arrive_exact_and_in_order_over_ipv6() {
        carries_a_batch("[::1]:0");
    }

    #[test]
    fn the_largest_datagram_arrives_whole() {
        let (alice, bob) = pair("127.0.0.1:0");
        let large = Bytes::from(vec![b'x'; 65_507]);
        let to = bob.local_addr().unwrap();
        SendBatch::new().send(alice.as_fd(), [(to, &large)].into_iter()).unwrap();
        let mut received = None;
        RecvBatch::new().receive(bob.as_fd(), |_, bytes| received = Some(bytes)).unwrap();
        assert_eq!(received, Some(large));
    }

    #[test]
    fn one_datagram_that_is_too_long_is_an_error_of_that_datagram() {
        let (alice, bob) = pair("127.0.0.1:0");
        let to = bob.local_addr().unwrap();
        let (good, bad) = (Bytes::from_static(b"hello"), Bytes::from(vec![0; 65_520]));
        let mut batch = SendBatch::new();
        let queue = [(to, &good), (to, &bad), (to, &good)];
        assert_eq!(batch.send(alice.as_fd(), queue.into_iter()).unwrap(), 1);
        let refused = batch.send(alice.as_fd(), queue[1..].iter().copied());
        assert_eq!(refused.unwrap_err().raw_os_error(), Some(libc::EMSGSIZE));
        assert_eq!(batch.send(alice.as_fd(), queue[2..].iter().copied()).unwrap(), 1);
    }
}

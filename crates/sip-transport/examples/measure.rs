#![allow(missing_docs, clippy::all, clippy::print_stdout, clippy::unwrap_used)]
use sip_message::*;
use sip_transport::*;
fn cpu() -> (u64, u64, u64) {
    let s = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    let f: Vec<&str> = s.rsplit(')').next().unwrap().split_whitespace().collect();
    let n: u64 =
        std::fs::read_to_string("/proc/thread-self/schedstat").unwrap().split(' ').next().unwrap().parse().unwrap();
    (f[11].parse().unwrap(), f[12].parse().unwrap(), n)
}
fn msg(b: usize) -> bytes::Bytes {
    format!("INVITE sip:bob@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5999;branch=z9hG4bKabcdefghijk\r\nMax-Forwards: 70\r\nFrom: <sip:alice@127.0.0.1>;tag=a\r\nTo: <sip:bob@127.0.0.1>\r\nContact: <sip:alice@127.0.0.1:5999>\r\nCall-ID: abcdefg@foo\r\nCSeq: 1 INVITE\r\nContent-Type: application/sdp\r\nContent-Length: {b}\r\n\r\n{}","x".repeat(b)).into()
}
fn rt() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}
fn main() {
    let arg = std::env::args().nth(1).unwrap();
    let transport = if arg == "tcp" { Transport::Tcp } else { Transport::Udp };
    let window: usize = std::env::args().nth(2).unwrap().parse().unwrap();
    let total = 600_000usize;
    let conns: usize = std::env::args().nth(3).map(|s| s.parse().unwrap()).unwrap_or(1);
    let (tx, rx) = std::sync::mpsc::channel();
    let server = std::thread::spawn(move || {
        let r = rt();
        r.block_on(async{
    let mut c=TransportsConfig::default(); c.listeners.push(ListenerConfig::new(ListenerId(0),transport,"127.0.0.1:0".parse().unwrap())); c.streams.connections_per_address=10000;
    let mut t=Transports::bind(c,0,1).await.unwrap(); tx.send(t.listeners()[0].local).unwrap();
    let mut ev=Vec::new(); let mut n=0; let mut turns=0u64; let answer=msg(300); let mut start=None;
    while n<total { t.turn(None,&mut ev).await; turns+=1; for e in ev.drain(..){ if let TransportEvent::Received{flow,received,..}=e { if start.is_none(){start=Some((cpu(),std::time::Instant::now()));} drop(received.unwrap()); n+=1; t.send(Transmit{to:Destination::Flow(flow),bytes:answer.clone(),token:1}); } } t.flush(); }
    let (s,w)=start.unwrap(); let e=cpu(); let el=w.elapsed();
    println!("server: {} msgs in+out, wall {:?}, user {:.2} us/msg, sys {:.2} us/msg, cpu {:.2} us/msg, turns {} ({:.1}/turn)", n, el, (e.0-s.0) as f64*10000.0/n as f64,(e.1-s.1) as f64*10000.0/n as f64,(e.2-s.2) as f64/1000.0/n as f64,turns,n as f64/turns as f64);
    for _ in 0..50 { t.flush(); t.turn(Some(tokio::time::Instant::now()+std::time::Duration::from_millis(2)),&mut ev).await; }
  })
    });
    let to = rx.recv().unwrap();
    let r = rt();
    r.block_on(async {
        let mut ts = Vec::new();
        for _ in 0..conns {
            let mut c = TransportsConfig::default();
            c.listeners.push(ListenerConfig::new(ListenerId(0), transport, "127.0.0.1:0".parse().unwrap()));
            ts.push(Transports::bind(c, 0, 1).await.unwrap());
        }
        let m = msg(300);
        let mut sent = 0;
        let mut ev = Vec::new();
        let mut got = 0;
        let per = window / conns;
        let send = |t: &mut Transports| {
            t.send(Transmit {
                to: Destination::Target {
                    listener: ListenerId(0),
                    target: Target { transport, addr: to, server_name: None },
                },
                bytes: m.clone(),
                token: 0,
            });
        };
        for t in &mut ts {
            for _ in 0..per {
                send(t);
                sent += 1;
            }
            t.flush();
        }
        while got < total - window * 2 {
            for t in &mut ts {
                t.turn(
                    Some(
                        tokio::time::Instant::now()
                            + std::time::Duration::from_micros(if conns == 1 { 100000 } else { 0 }),
                    ),
                    &mut ev,
                )
                .await;
                for e in ev.drain(..) {
                    if let TransportEvent::Received { .. } = e {
                        got += 1;
                        if sent < total {
                            send(t);
                            sent += 1;
                        }
                    }
                }
                t.flush();
            }
        }
        while sent < total {
            send(&mut ts[0]);
            sent += 1;
            ts[0].flush();
        }
        for _ in 0..100 {
            ts[0].turn(Some(tokio::time::Instant::now() + std::time::Duration::from_millis(2)), &mut ev).await;
            ts[0].flush();
        }
    });
    server.join().unwrap();
}

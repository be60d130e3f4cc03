//! Reading an INVITE and printing its proxied copy, by the clock. `instructions.rs` does the same by the instruction.

#[path = "sample.rs"]
mod sample;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;

fn message(c: &mut Criterion) {
    let invite = Bytes::from_static(sample::INVITE);
    let mut group = c.benchmark_group("invite");
    group.throughput(Throughput::Bytes(invite.len() as u64));
    group.bench_function("parse", |b| b.iter(|| sample::parse(black_box(invite.clone()))));
    group.bench_function("parse to typed headers", |b| b.iter(|| sample::parse_typed(black_box(invite.clone()))));
    let parsed = sample::request(invite.clone());
    let mut out = Vec::with_capacity(4096);
    group.bench_function("print the proxied copy", |b| {
        b.iter_batched_ref(
            || sample::proxied(parsed.clone()),
            |proxied| {
                out.clear();
                proxied.write(&mut out);
                black_box(out.len())
            },
            criterion::BatchSize::SmallInput,
        );
    });
    group.bench_function("edit as a proxy does", |b| {
        b.iter_batched(
            || parsed.clone(),
            |request| black_box(sample::proxied(request)),
            criterion::BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, message);
criterion_main!(benches);

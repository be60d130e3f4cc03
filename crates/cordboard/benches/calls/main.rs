//! What a whole call costs, by the clock.

mod stage;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use stage::Stage;

/// As many as are played in what transactions linger for (RFC 3261 §17: 64·T1), so that every call begun is one ended.
const LINGERING: usize = 3_300;

fn calls(c: &mut Criterion) {
    let mut group = c.benchmark_group("call");
    group.throughput(Throughput::Elements(1));
    for (name, mut stage) in [("proxied", Stage::proxy()), ("bridged", Stage::b2bua())] {
        for _ in 0..LINGERING {
            stage.call();
        }
        group.bench_function(name, |b| b.iter(|| stage.call()));
    }
    group.finish();
}

criterion_group!(benches, calls);
criterion_main!(benches);

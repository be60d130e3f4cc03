//! Tones made, not recorded: ringing, busy, digits, beeps.
//!
//! A [`Tone`] says what is to be heard (one or two sines, for how long, how often); a [`ToneGenerator`] makes it. Sines go
//! on in phase from tick to tick and from step to step, and swell and fade within 4 ms, so that nothing clicks.
//!
//! The tones of telephone networks by region are in [`telephone`]: ITU-T E.180 Supplement 2, and for digits ITU-T Q.23
//! with the levels of ETSI ES 201 235-2.

mod generator;
pub mod telephone;

pub use generator::ToneGenerator;
pub use telephone::Region;

use crate::level::Dbfs;
use std::time::Duration;

/// What is to be heard: steps, one after the other, once or again and again.
#[derive(Clone, Debug, PartialEq)]
pub struct Tone {
    steps: Vec<Step>,
    repeat: Repeat,
    level: Dbfs,
}

/// How often a tone's steps are gone through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// So many times.
    Times(u32),
    /// Until someone stops it.
    Forever,
}

/// One step of a tone: up to two sines for a while.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Step {
    sines: [Option<Sine>; 2],
    length: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Sine {
    hertz: f64,
    /// Relative to the tone's level.
    offset: f64,
}

impl Tone {
    /// One without steps: over at once. Steps follow with [`on`](Tone::on) and [`off`](Tone::off).
    pub fn once() -> Tone {
        Tone { steps: Vec::new(), repeat: Repeat::Times(1), level: DEFAULT_LEVEL }
    }

    /// One whose steps, to be added, are gone through again and again.
    pub fn forever() -> Tone {
        Tone { repeat: Repeat::Forever, ..Tone::once() }
    }

    /// A sine without end: a test tone.
    pub fn sine(hertz: f64) -> Tone {
        Tone::once().on(&[hertz], Duration::MAX)
    }

    /// Silence without end.
    pub fn silence() -> Tone {
        Tone::once().off(Duration::MAX)
    }

    /// The ring tone for someone who is called: a soft falling fourth that is sung twice, then a pause.
    pub fn ring() -> Tone {
        let note = Duration::from_millis(240);
        Tone::forever()
            .on(&[880.0, 1_108.73], note)
            .on(&[659.26, 880.0], note)
            .on(&[880.0, 1_108.73], note)
            .on(&[659.26, 880.0], note)
            .off(Duration::from_millis(2_040))
            .at_level(Dbfs(-20.0))
    }

    /// The two beeps after a call: 800 and 400 Hz for 100 ms, 400 Hz for 200 ms.
    pub fn hang_up() -> Tone {
        Tone::once().on(&[400.0, 800.0], Duration::from_millis(100)).on(&[400.0], Duration::from_millis(200))
    }

    /// What someone hears now and then who is held, so that he knows that the call stands: a quiet blip in ten seconds.
    pub fn comfort() -> Tone {
        Tone::forever().on(&[440.0], Duration::from_millis(120)).off(Duration::from_millis(9_880)).at_level(Dbfs(-36.0))
    }

    /// Adds a step in which one or two sines are heard; further ones are not.
    pub fn on(self, hertz: &[f64], length: Duration) -> Tone {
        let mut sines = [None; 2];
        for (sine, &hertz) in sines.iter_mut().zip(hertz) {
            *sine = Some(Sine { hertz, offset: 0.0 });
        }
        self.step(sines, length)
    }

    /// Adds a step of silence.
    pub fn off(self, length: Duration) -> Tone {
        self.step([None; 2], length)
    }

    /// Goes through the steps so often.
    pub fn repeat(self, repeat: Repeat) -> Tone {
        Tone { repeat, ..self }
    }

    /// Each of its sines has this level (root mean square); in digits, the louder one.
    pub fn at_level(self, level: Dbfs) -> Tone {
        Tone { level, ..self }
    }

    /// How long it lasts, if it ends.
    pub fn length(&self) -> Option<Duration> {
        let Repeat::Times(times) = self.repeat else { return None };
        let once = self.steps.iter().try_fold(Duration::ZERO, |sum, step| sum.checked_add(step.length))?;
        once.checked_mul(times).filter(|&length| length < Duration::MAX)
    }

    fn step(mut self, sines: [Option<Sine>; 2], length: Duration) -> Tone {
        self.steps.push(Step { sines, length });
        self
    }
}

/// -10 dBm0 per frequency, as exchanges send their tones (ITU-T E.180 §3).
const DEFAULT_LEVEL: Dbfs = Dbfs(-16.0);

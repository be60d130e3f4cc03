//! One open card: found by its name, in the form that suits us best, with its callbacks in mono and 16 bits.

use super::super::{DeviceError, DeviceEvent};
use super::SoundDevice;
use crate::pcm::SampleRate;
use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{BufferSize, ErrorKind, FromSample, Sample, SampleFormat, SizedSample, StreamConfig, SupportedBufferSize};
use std::cmp::Reverse;
use std::sync::mpsc::{Receiver, Sender, channel};

/// What of a card is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Microphone,
    Speaker,
}

/// A card that runs until it is dropped.
pub(super) struct Card {
    /// Its name, for errors.
    name: String,
    _stream: cpal::Stream,
    errors: Receiver<cpal::Error>,
}

impl Card {
    /// Opens a card and lets it run. `callback` is told the card's rate and gives what is called with each piece of mono
    /// audio: to be read of a microphone, to be filled (its length is what is wanted) for a speaker.
    pub(super) fn open<C>(
        name: Option<&str>,
        way: Way,
        rate: SampleRate,
        callback: impl FnOnce(u32) -> C,
    ) -> Result<Card, DeviceError>
    where
        C: FnMut(&mut [i16]) + Send + 'static,
    {
        let named = name.unwrap_or("default").to_owned();
        let error = |problem: &dyn std::fmt::Display| sound_error(&named, problem);
        let device = find(name, way).map_err(|problem| error(&problem))?;
        let device = device.ok_or_else(|| error(&"there is none of this name"))?;
        let (config, format) = form(&device, way, rate).map_err(|problem| error(&problem))?;
        let (tell, errors) = channel();
        let callback = callback(config.sample_rate);
        let opened = match format {
            SampleFormat::I16 => build::<i16>(&device, way, config, callback, tell),
            SampleFormat::F32 => build::<f32>(&device, way, config, callback, tell),
            SampleFormat::I32 => build::<i32>(&device, way, config, callback, tell),
            SampleFormat::U8 => build::<u8>(&device, way, config, callback, tell),
            SampleFormat::I8 => build::<i8>(&device, way, config, callback, tell),
            SampleFormat::U16 => build::<u16>(&device, way, config, callback, tell),
            SampleFormat::F64 => build::<f64>(&device, way, config, callback, tell),
            other => return Err(error(&format!("samples of the form {other} are not understood"))),
        };
        // Only now is it known that the card is there: systems without one list a default all the same.
        let stream = opened.map_err(|problem| error(&problem))?;
        stream.play().map_err(|problem| error(&problem))?;
        Ok(Card { name: named, _stream: stream, errors })
    }

    pub(super) fn poll_event(&mut self) -> Option<DeviceEvent> {
        while let Ok(error) = self.errors.try_recv() {
            // It goes on after these, with a gap or on another card.
            if !matches!(error.kind(), ErrorKind::Xrun | ErrorKind::DeviceChanged | ErrorKind::RealtimeDenied) {
                return Some(DeviceEvent::Failed(sound_error(&self.name, &error)));
            }
        }
        None
    }
}

/// The cards of the system.
pub(super) fn list() -> Result<Vec<SoundDevice>, DeviceError> {
    let devices = cpal::default_host().devices().map_err(|problem| sound_error("default", &problem))?;
    let describe = |device: cpal::Device| {
        Some(SoundDevice {
            name: device.description().ok()?.name().to_owned(),
            hears: device.supports_input(),
            speaks: device.supports_output(),
        })
    };
    Ok(devices.filter_map(describe).collect())
}

/// By the whole name or the system's identifier first, by a part of the name then.
fn find(name: Option<&str>, way: Way) -> Result<Option<cpal::Device>, cpal::Error> {
    let host = cpal::default_host();
    let Some(name) = name else {
        return Ok(match way {
            Way::Microphone => host.default_input_device(),
            Way::Speaker => host.default_output_device(),
        });
    };
    let usable = |device: &cpal::Device| match way {
        Way::Microphone => device.supports_input(),
        Way::Speaker => device.supports_output(),
    };
    let mut devices: Vec<cpal::Device> = host.devices()?.collect();
    let is_named = |device: &cpal::Device| {
        device.description().is_ok_and(|about| about.name() == name) || device.id().is_ok_and(|id| id.id() == name)
    };
    let part = name.to_lowercase();
    let is_like =
        |device: &cpal::Device| device.description().is_ok_and(|about| about.name().to_lowercase().contains(&part));
    let found = devices
        .iter()
        .position(|device| is_named(device) && usable(device))
        .or_else(|| devices.iter().position(|device| is_like(device) && usable(device)));
    Ok(found.map(|index| devices.swap_remove(index)))
}

/// The card's form that is nearest to ours: our rate, 16 bits, few channels.
fn form(device: &cpal::Device, way: Way, rate: SampleRate) -> Result<(StreamConfig, SampleFormat), cpal::Error> {
    let forms: Vec<_> = match way {
        Way::Microphone => device.supported_input_configs()?.collect(),
        Way::Speaker => device.supported_output_configs()?.collect(),
    };
    let ours = forms
        .into_iter()
        .filter(|form| preference(form.sample_format()) > 0)
        .filter_map(|form| form.try_with_sample_rate(rate.hertz()))
        .min_by_key(|form| (Reverse(preference(form.sample_format())), form.channels()));
    let form = match (ours, way) {
        (Some(form), _) => form,
        (None, Way::Microphone) => device.default_input_config()?,
        (None, Way::Speaker) => device.default_output_config()?,
    };
    let mut config = form.config();
    if let SupportedBufferSize::Range { min, max } = *form.buffer_size()
        && min <= max
    {
        // Half a tick, or as near as the card comes.
        config.buffer_size = BufferSize::Fixed((config.sample_rate / 100).clamp(min, max));
    }
    Ok((config, form.sample_format()))
}

fn preference(format: SampleFormat) -> u8 {
    match format {
        SampleFormat::I16 => 3,
        SampleFormat::F32 => 2,
        SampleFormat::I32 => 1,
        _ => 0,
    }
}

fn build<T>(
    device: &cpal::Device,
    way: Way,
    config: StreamConfig,
    mut callback: impl FnMut(&mut [i16]) + Send + 'static,
    tell: Sender<cpal::Error>,
) -> Result<cpal::Stream, cpal::Error>
where
    T: SizedSample + FromSample<i16> + Send + 'static,
    i16: FromSample<T>,
{
    let channels = usize::from(config.channels.max(1));
    let mut mono: Vec<i16> = Vec::new();
    // Nobody may be listening any more.
    let failed = move |error| drop(tell.send(error));
    match way {
        Way::Microphone => {
            let hear = move |data: &[T], _: &cpal::InputCallbackInfo| {
                mono.clear();
                mono.extend(data.chunks_exact(channels).map(mean));
                callback(&mut mono);
            };
            device.build_input_stream(config, hear, failed, None)
        }
        Way::Speaker => {
            let speak = move |data: &mut [T], _: &cpal::OutputCallbackInfo| {
                mono.clear();
                mono.resize(data.len() / channels, 0);
                callback(&mut mono);
                for (frame, &sample) in data.chunks_mut(channels).zip(&mono) {
                    frame.fill(sample.to_sample());
                }
            };
            device.build_output_stream(config, speak, failed, None)
        }
    }
}

fn mean<T: SizedSample>(frame: &[T]) -> i16
where
    i16: FromSample<T>,
{
    let sum: i64 = frame.iter().map(|&sample| i64::from(i16::from_sample(sample))).sum();
    // The mean of 16-bit samples is one.
    (sum / frame.len() as i64) as i16
}

fn sound_error(name: &str, problem: &dyn std::fmt::Display) -> DeviceError {
    DeviceError::Sound { name: name.to_owned(), problem: problem.to_string() }
}

//! When the pieces of a replayed answer go out: at once, or as far apart as they came.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{Stream, stream};

use super::recording::AnswerChunk;

/// How fast recorded answers are replayed.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ReplaySpeed {
    /// How many times faster than recorded; positive and finite. `None` waits for nothing.
    factor: Option<f64>,
}

impl ReplaySpeed {
    /// Everything at once, in the recorded pieces.
    pub const FAST: Self = Self { factor: None };
    /// With the recorded gaps.
    pub const REALTIME: Self = Self { factor: Some(1.0) };

    /// How long a recorded time lasts at this speed.
    pub fn scale(self, recorded: Duration) -> Duration {
        // A factor so small that the time overflows means waiting for as long as can be said.
        self.factor.map_or(Duration::ZERO, |factor| {
            Duration::try_from_secs_f64(recorded.as_secs_f64() / factor).unwrap_or(Duration::MAX)
        })
    }
}

impl fmt::Display for ReplaySpeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.factor {
            None => f.write_str("fast"),
            Some(1.0) => f.write_str("realtime"),
            Some(factor) => write!(f, "{factor}"),
        }
    }
}

/// A text that names no speed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownSpeed(pub String);

impl fmt::Display for UnknownSpeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown replay speed `{}`; write fast, realtime, or a factor such as 2 or 0.5", self.0)
    }
}

impl std::error::Error for UnknownSpeed {}

impl FromStr for ReplaySpeed {
    type Err = UnknownSpeed;

    fn from_str(text: &str) -> Result<Self, UnknownSpeed> {
        match text {
            "fast" => Ok(Self::FAST),
            "realtime" => Ok(Self::REALTIME),
            _ => match text.parse::<f64>() {
                Ok(factor) if factor.is_finite() && factor > 0.0 => Ok(Self { factor: Some(factor) }),
                _ => Err(UnknownSpeed(text.to_owned())),
            },
        }
    }
}

/// The pieces, each when it is due. The first is due as long after `since`, when the request came, as it was recorded; the
/// others count from it, so that neither a late start nor late pieces change what comes after them.
pub(crate) fn paced(
    chunks: Vec<AnswerChunk>,
    since: Instant,
    speed: ReplaySpeed,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let pieces = chunks.into_iter().enumerate();
    stream::unfold((pieces, since, Duration::ZERO), move |(mut pieces, mut from, mut elapsed)| async move {
        let (number, chunk) = pieces.next()?;
        elapsed = elapsed.saturating_add(chunk.gap);
        wait(elapsed, from, speed).await;
        if number == 0 {
            (from, elapsed) = (Instant::now(), Duration::ZERO);
        }
        Some((Ok(chunk.bytes), (pieces, from, elapsed)))
    })
}

/// Waits until `recorded` after `since`, at this speed.
pub(crate) async fn wait(recorded: Duration, since: Instant, speed: ReplaySpeed) {
    let left = speed.scale(recorded).saturating_sub(since.elapsed());
    if !left.is_zero() {
        tokio::time::sleep(left).await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;

    #[test]
    fn a_speed_is_read_as_it_is_written_and_scales() {
        for (text, scaled) in [("fast", 0), ("realtime", 100), ("2", 50), ("0.5", 200)] {
            let speed: ReplaySpeed = text.parse().unwrap();
            assert_eq!(speed.to_string(), text);
            assert_eq!(speed.scale(Duration::from_millis(100)), Duration::from_millis(scaled), "{text}");
        }
        assert_eq!("1".parse(), Ok(ReplaySpeed::REALTIME));
        for text in ["0", "-1", "inf", "NaN", "quick", ""] {
            assert_eq!(text.parse::<ReplaySpeed>(), Err(UnknownSpeed(text.into())));
        }
        let slowest: ReplaySpeed = "1e-300".parse().unwrap();
        assert_eq!(slowest.scale(Duration::from_secs(1)), Duration::MAX);
    }

    #[tokio::test]
    async fn no_piece_comes_before_it_is_due() {
        let gap = Duration::from_millis(7);
        let chunks = (0..3u8).map(|n| AnswerChunk { gap, bytes: Bytes::from(vec![n]) }).collect();
        let since = Instant::now();
        let mut pieces = std::pin::pin!(paced(chunks, since, ReplaySpeed::REALTIME));
        for n in 0..3u8 {
            assert_eq!(pieces.next().await.unwrap().unwrap(), [n][..]);
            assert!(since.elapsed() >= gap * (u32::from(n) + 1));
        }
        assert!(pieces.next().await.is_none());
    }
}

//! How far ahead of our inputs the peers are, by which the input delay is chosen. Pure.

/// Numbers of frames below this are told apart; more frames are just as bad.
const MAX_FRAMES: usize = 64;

/// How often the other peers predicted each number of frames of our inputs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Predicted([u32; MAX_FRAMES]);

impl Default for Predicted {
    fn default() -> Self {
        Self([0; MAX_FRAMES])
    }
}

impl Predicted {
    pub(crate) fn count(&mut self, frames: u32) {
        self.0[(frames as usize).min(MAX_FRAMES - 1)] += 1;
    }

    /// Adds samples, each as if it were `delay` frames more.
    pub(crate) fn add(&mut self, other: &Self, delay: u32) {
        for (frames, &count) in other.0.iter().enumerate() {
            self.0[(frames + delay as usize).min(MAX_FRAMES - 1)] += count;
        }
    }

    pub(crate) fn total(&self) -> u32 {
        self.0.iter().sum()
    }

    /// The number of frames that this part of the samples does not exceed.
    pub(crate) fn percentile(&self, part: f32) -> u32 {
        let wanted = self.total() as f32 * part;
        let mut seen = 0;
        let reached = self.0.iter().position(|&count| {
            seen += count;
            seen as f32 >= wanted
        });
        reached.unwrap_or(MAX_FRAMES - 1) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_value_that_its_share_of_samples_does_not_exceed() {
        let mut predicted = Predicted::default();
        (0..95).for_each(|_| predicted.count(2));
        (0..4).for_each(|_| predicted.count(3));
        predicted.count(1_000_000);
        assert_eq!(predicted.total(), 100);
        assert_eq!(
            [0.5, 0.95, 0.96, 0.99, 1.0].map(|part| predicted.percentile(part)),
            [2, 2, 3, 3, 63]
        );
        let mut later = Predicted::default();
        later.add(&predicted, 2);
        assert_eq!(later.percentile(0.95), 4);
    }
}

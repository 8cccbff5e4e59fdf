//! The figure of one back end by its plain definition: the arithmetic of 7.3,
//! one sample and one step at a time.

use crate::base::quantity::Percent;
use crate::policy::dispatch::Over;
use crate::policy::usage::numbers::SMALLEST_SCALE;
use crate::policy::usage::ring::BLOCK;

/// The figure of one back end.
pub(crate) struct Usage {
    scale: f64,
    remainder: f64,
    window: Option<usize>,
    /// The sum alone without a window.
    stored: Vec<f64>,
    oldest: usize,
}

impl Usage {
    pub(crate) fn new(over: Over, decay: Percent) -> Self {
        Self {
            scale: 1.0,
            remainder: decay.remainder(),
            window: over.window(),
            stored: Vec::new(),
            oldest: 0,
        }
    }

    pub(crate) fn figure(&self) -> f64 {
        let sums = self
            .stored
            .chunks(BLOCK)
            .map(|block| block.iter().sum::<f64>());
        let sum: f64 = sums.sum();
        let count = match self.window {
            Some(_) if !self.stored.is_empty() => self.stored.len() as f64,
            _ => 1.0,
        };
        // Plus 0, because the sum of nothing is -0.
        self.scale * (sum / count) + 0.0
    }

    pub(crate) fn record(&mut self, x: f64) {
        let x = x / self.scale;
        let len = self.stored.len();
        match self.window {
            None if len == 1 => self.stored[0] += x,
            Some(window) if len == window => {
                self.stored[self.oldest] = x;
                self.oldest = (self.oldest + 1) % window;
            }
            _ => self.stored.push(x),
        }
    }

    pub(crate) fn decay(&mut self) {
        self.scale *= self.remainder;
        if self.scale < SMALLEST_SCALE {
            let scale = self.scale;
            self.stored.iter_mut().for_each(|stored| *stored *= scale);
            self.scale = 1.0;
        }
    }
}

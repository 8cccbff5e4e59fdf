//! The moving window of `over N`.

/// How many samples share one partial sum.
pub(super) const BLOCK: usize = 128;

/// The last N samples, with partial sums, so that a new sample of a large
/// window costs some two hundred additions and no rounding error adds up.
#[derive(Debug)]
pub(super) struct Ring {
    window: usize,
    samples: Vec<f64>,
    /// Where the next sample goes once the window is full: at the oldest.
    oldest: usize,
    /// The sum of each [`BLOCK`] samples.
    blocks: Vec<f64>,
    /// How many of the newest samples may be other than 0.
    remembered: usize,
}

impl Ring {
    pub(super) fn new(window: usize) -> Self {
        Self {
            window,
            samples: Vec::new(),
            oldest: 0,
            blocks: Vec::new(),
            remembered: 0,
        }
    }

    pub(super) fn push(&mut self, x: f64) {
        let place = if self.samples.len() < self.window {
            self.samples.push(x);
            self.samples.len() - 1
        } else {
            let place = self.oldest;
            self.samples[place] = x;
            self.oldest = (place + 1) % self.window;
            place
        };
        self.sum_block(place / BLOCK);
        self.remembered = self.samples.len().min(self.remembered + 1);
    }

    /// All samples become 0 and keep their places. Costs as much as they did to
    /// come in.
    pub(super) fn forget(&mut self) {
        let len = self.samples.len();
        // Before the window is full the oldest is at 0.
        let oldest = self.oldest + len - self.remembered;
        for place in oldest..self.oldest + len {
            self.samples[place % len] = 0.0;
            self.blocks[place % len / BLOCK] = 0.0;
        }
        self.remembered = 0;
    }

    pub(super) fn multiply(&mut self, factor: f64) {
        for sample in &mut self.samples {
            *sample *= factor;
        }
        for block in 0..self.blocks.len() {
            self.sum_block(block);
        }
    }

    fn sum_block(&mut self, block: usize) {
        let end = self.samples.len().min((block + 1) * BLOCK);
        let sum = self.samples[block * BLOCK..end].iter().sum();
        match self.blocks.get_mut(block) {
            Some(kept) => *kept = sum,
            None => self.blocks.push(sum),
        }
    }

    pub(super) fn mean(&self) -> f64 {
        if self.samples.is_empty() {
            return 0.0;
        }
        self.blocks.iter().sum::<f64>() / self.samples.len() as f64
    }
}

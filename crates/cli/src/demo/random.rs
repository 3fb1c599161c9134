//! Choices that can be made again: one generator per person, phone and line of callers, so that what each of them does
//! depends on the seed alone and not on who was faster.

/// xoshiro256++ 1.0 by David Blackman and Sebastiano Vigna (public domain,
/// <https://prng.di.unimi.it/xoshiro256plusplus.c>), seeded with SplitMix64 as they advise.
#[derive(Debug, Clone)]
pub struct Random {
    state: [u64; 4],
}

impl Random {
    /// The generator of whoever the labels name.
    pub fn of(seed: u64, labels: &[&str]) -> Self {
        // FNV-1a, 64 bits; a separator keeps ["ab", "c"] and ["a", "bc"] apart.
        let bytes = labels.iter().flat_map(|label| label.bytes().chain(std::iter::once(0xff)));
        let name = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let mut seed = seed ^ name;
        Self { state: std::array::from_fn(|_| split_mix(&mut seed)) }
    }

    pub fn next(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (mut c, mut d) = (c ^ a, d ^ b);
        let (b, a) = (b ^ c, a ^ d);
        c ^= self.state[1] << 17;
        d = d.rotate_left(45);
        self.state = [a, b, c, d];
        result
    }

    /// Uniform in [0, 1).
    pub fn unit(&mut self) -> f64 {
        // The upper 53 bits, as many as the mantissa holds.
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        ((self.unit() * bound as f64) as usize).min(bound.saturating_sub(1))
    }

    /// Waits between events that know nothing of each other.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }

    /// Durations of people: talk, thought, patience (Brown et al., "Statistical Analysis of a Telephone Call Center",
    /// JASA 100, 2005, find service times lognormal).
    pub fn lognormal(&mut self, median: f64, sigma: f64) -> f64 {
        // Box-Muller.
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        let normal = radius * (std::f64::consts::TAU * self.unit()).cos();
        median * (sigma * normal).exp()
    }

    /// The item of one of the weights, which are not all 0.
    pub fn weighted<'a, T>(&mut self, items: &'a [(f64, T)]) -> Option<&'a T> {
        let total: f64 = items.iter().map(|(weight, _)| weight).sum();
        let mut left = self.unit() * total;
        let chosen = items.iter().find(|(weight, _)| {
            left -= weight;
            left < 0.0
        });
        chosen.or(items.last()).map(|(_, item)| item)
    }
}

/// <https://prng.di.unimi.it/splitmix64.c>
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::{Random, split_mix};

    #[test]
    fn the_generators_are_the_published_ones() {
        let mut seed = 1_234_567;
        let first: Vec<u64> = (0..3).map(|_| split_mix(&mut seed)).collect();
        assert_eq!(first, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);

        let mut random = Random { state: [1, 2, 3, 4] };
        let first: Vec<u64> = (0..3).map(|_| random.next()).collect();
        assert_eq!(first, [41_943_041, 58_720_359, 3_588_806_011_781_223]);
    }

    #[test]
    fn the_same_seed_and_name_choose_the_same_and_another_name_does_not() {
        let choices = |seed, labels: &[&str]| {
            let mut random = Random::of(seed, labels);
            (0..4).map(|_| random.next()).collect::<Vec<_>>()
        };
        assert_eq!(choices(7, &["acme", "1001"]), choices(7, &["acme", "1001"]));
        assert_ne!(choices(7, &["acme", "1001"]), choices(8, &["acme", "1001"]));
        assert_ne!(choices(7, &["ab", "c"]), choices(7, &["a", "bc"]));
    }

    #[test]
    fn distributions_have_their_means() {
        let mut random = Random::of(1, &[]);
        let mean = |draw: &mut dyn FnMut() -> f64| (0..20_000).map(|_| draw()).sum::<f64>() / 20_000.0;
        assert!((mean(&mut || random.exponential(3.0)) - 3.0).abs() < 0.1);
        // Of a lognormal the mean is the median times exp(σ²/2).
        assert!((mean(&mut || random.lognormal(2.0, 0.5)) - 2.0 * 0.125_f64.exp()).abs() < 0.1);
        assert!((mean(&mut || random.below(10) as f64) - 4.5).abs() < 0.1);
    }

    #[test]
    fn weights_are_kept_to() {
        let mut random = Random::of(1, &[]);
        let items = [(0.0, "never"), (1.0, "rarely"), (9.0, "often")];
        let often = (0..1000).filter(|_| random.weighted(&items) == Some(&"often")).count();
        assert!((850..950).contains(&often), "{often}");
    }
}

//! What a node says of its own values: what one step of a meter's counter is.

use std::collections::BTreeMap;

use super::Thing;
use super::table::{Conversion, Line};

/// The first unit of the list, in binary and in decimal: kWh and kW (10.4.2.2.4.1, table 10-24).
const KILOWATTS: [u32; 2] = [0x00, 0x80];

impl Thing {
    /// The attributes that say what values are worth, by endpoint and cluster: to be asked for once, for
    /// [`learn`](Self::learn).
    #[must_use]
    pub fn figures_asked(&self) -> BTreeMap<(u8, u16), Vec<u16>> {
        let mut asked: BTreeMap<(u8, u16), Vec<u16>> = BTreeMap::new();
        for (endpoint, line) in self.lines() {
            let Conversion::Ratio(ratio) = line.conversion else { continue };
            let ids = asked.entry((endpoint, line.cluster)).or_default();
            for id in [ratio.multiplier, ratio.divisor].into_iter().chain(ratio.unit) {
                if !ids.contains(&id) {
                    ids.push(id);
                }
            }
        }
        asked
    }

    /// It said this figure. One that nobody asked for is not taken.
    pub fn learn(&mut self, endpoint: u8, cluster: u16, attribute: u16, figure: u32) {
        if self.figures_asked().get(&(endpoint, cluster)).is_some_and(|ids| ids.contains(&attribute)) {
            self.figures.insert((endpoint, cluster, attribute), figure);
        }
    }

    /// What it said of its own values: endpoint, cluster, attribute, figure.
    pub fn figures(&self) -> impl Iterator<Item = (u8, u16, u16, u32)> {
        self.figures
            .iter()
            .map(|((endpoint, cluster, attribute), figure)| (*endpoint, *cluster, *attribute, *figure))
    }

    /// How a value of a line becomes one in its unit; `None` where the node did not say what it is worth.
    pub(super) fn conversion(&self, endpoint: u8, line: &Line) -> Option<Conversion> {
        let Conversion::Ratio(ratio) = line.conversion else { return Some(line.conversion) };
        let figure = |id| self.figures.get(&(endpoint, line.cluster, id)).copied();
        let unit = match ratio.unit {
            None => true,
            Some(id) => figure(id).is_some_and(|unit| KILOWATTS.contains(&unit)),
        };
        let divisor = figure(ratio.divisor).filter(|divisor| *divisor > 0 && unit)?;
        Some(Conversion::Fraction(f64::from(figure(ratio.multiplier)?) * ratio.factor, f64::from(divisor)))
    }
}

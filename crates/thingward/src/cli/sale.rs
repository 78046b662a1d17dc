//! `offer` and `purchase`: what strangers may buy, and what they bought.

use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::{Value as Json, json};
use thingward_payment::{Currency, Money};

use super::Global;
use super::connection::Tenant as Whose;
use crate::api::Path;
use crate::failure::Failure;
use crate::output::{self, fields, table};

#[derive(Debug, Subcommand)]
pub(super) enum Offer {
    /// Set what a device costs whoever stands before it. They pay, and get a grant of it.
    Set(Set),
    /// Show what a device costs, and whether it is sold now.
    Show {
        #[command(flatten)]
        tenant: Whose,
        /// Which device.
        device: String,
    },
    /// Sell a device no more. What was bought goes on.
    Remove {
        #[command(flatten)]
        tenant: Whose,
        /// Which device.
        device: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Set {
    #[command(flatten)]
    tenant: Whose,
    /// Which device.
    device: String,
    /// The action that begins what is paid for, so long as its input says.
    #[arg(long, value_name = "ACTION")]
    start: String,
    /// The action that ends it; the device says how much was left, and that goes back.
    #[arg(long, value_name = "ACTION")]
    end: String,
    /// The price, as '2.40 EUR'.
    #[arg(long, value_name = "AMOUNT CURRENCY", value_parser = price)]
    price: Money,
    /// Units of the start's input that the price is for.
    #[arg(long, value_name = "UNITS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    per: u64,
    /// Units that are sold at once.
    #[arg(long, value_name = "UNITS", value_parser = clap::value_parser!(u64).range(1..))]
    most: u64,
    /// What a buyer has to know: whose data is kept why, and for how long.
    #[arg(long, value_name = "TEXT")]
    notice: String,
}

#[derive(Debug, Subcommand)]
pub(super) enum Purchase {
    /// List purchases, the newest first.
    List {
        #[command(flatten)]
        tenant: Whose,
        /// Only of this device.
        #[arg(long)]
        device: Option<String>,
    },
    /// Show a purchase. Its grant has the same id.
    Show {
        #[command(flatten)]
        tenant: Whose,
        /// Which purchase.
        id: String,
    },
    /// Give back what did not go back yet; the grant ends.
    Refund {
        #[command(flatten)]
        tenant: Whose,
        /// Which purchase.
        id: String,
    },
}

/// Reads `2.40 EUR`.
fn price(text: &str) -> Result<Money, String> {
    let wrong = || "is no price, as '2.40 EUR'".to_owned();
    let (amount, currency) = text.split_once(' ').ok_or_else(wrong)?;
    let currency: Currency = currency.parse().map_err(|e| format!("{e}"))?;
    let (whole, part) = amount.split_once('.').unwrap_or((amount, ""));
    let is_number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(part) {
        return Err(wrong());
    }
    if part.len() > currency.digits() {
        return Err(format!("{currency} has {} digits behind the point", currency.digits()));
    }
    let amount = format!("{whole}{part:0<width$}", width = currency.digits());
    amount.parse().map(|amount| Money { amount, currency }).map_err(|_| wrong())
}

impl Offer {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let api = global.api()?;
        let (tenant, device) = match &self {
            Self::Set(Set { tenant, device, .. })
            | Self::Show { tenant, device }
            | Self::Remove { tenant, device } => (tenant.name(&api).await?, device.clone()),
        };
        let path = Path::new(&["tenants", &tenant, "devices", &device, "offer"]);
        let shown = match self {
            Self::Set(Set { start, end, price, per, most, notice, .. }) => {
                let body = json!({
                    "start": start, "finish": end, "amount": price.amount, "currency": price.currency.as_str(),
                    "per": per, "most": most, "notice": notice,
                });
                api.call(Method::PUT, path.as_str(), Some(&body)).await?
            }
            Self::Show { .. } => api.get(path.as_str()).await?,
            Self::Remove { .. } => {
                api.call(Method::DELETE, path.as_str(), None).await?;
                json!({"removed": device})
            }
        };
        output::value(global.output, &shown, |shown| fields(&for_people(shown)));
        Ok(())
    }
}

impl Purchase {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let api = global.api()?;
        let shown = match self {
            Self::List { tenant, device } => {
                let path = Path::new(&["tenants", &tenant.name(&api).await?, "purchases"]);
                let items = api.list(&path.query("device", device.as_deref())).await?;
                output::value(global.output, &json!(items), |_| {
                    let columns = [
                        ("ID", "id"),
                        ("DEVICE", "device"),
                        ("MADE", "made"),
                        ("STATE", "state"),
                        ("PRICE", "price"),
                        ("BACK", "refunded"),
                        ("UNTIL", "until"),
                    ];
                    table(&items.iter().map(for_people).collect::<Vec<_>>(), &columns)
                });
                return Ok(());
            }
            Self::Show { tenant, id } => {
                let path = Path::new(&["tenants", &tenant.name(&api).await?, "purchases", &id]);
                api.get(path.as_str()).await?
            }
            Self::Refund { tenant, id } => {
                let path = Path::new(&["tenants", &tenant.name(&api).await?, "purchases", &id, "refund"]);
                api.post(path.as_str(), &Json::Null).await?
            }
        };
        output::value(global.output, &shown, |shown| fields(&for_people(shown)));
        Ok(())
    }
}

/// Amounts with their currency, in place of whole numbers of its smallest unit.
fn for_people(shown: &Json) -> Json {
    let Some(object) = shown.as_object() else { return shown.clone() };
    let currency =
        object.get("currency").and_then(Json::as_str).and_then(|text| text.parse::<Currency>().ok());
    let Some(currency) = currency else { return shown.clone() };
    let mut people = serde_json::Map::new();
    for (name, value) in object {
        let money = value.as_u64().map(|amount| json!(Money { amount, currency }.to_string()));
        match (name.as_str(), money) {
            ("currency", _) => {}
            ("amount", Some(money)) => drop(people.insert("price".to_owned(), money)),
            ("owed" | "refunded", Some(money)) => drop(people.insert(name.clone(), money)),
            _ => drop(people.insert(name.clone(), value.clone())),
        }
    }
    Json::Object(people)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_read_in_the_digits_of_its_currency() {
        let read = |text| price(text).map(|money| (money.amount, money.to_string()));
        assert_eq!(read("2.40 EUR"), Ok((240, "2.40 EUR".to_owned())));
        assert_eq!(read("2.4 EUR"), Ok((240, "2.40 EUR".to_owned())));
        assert_eq!(read("3 EUR"), Ok((300, "3.00 EUR".to_owned())));
        assert_eq!(read("300 JPY"), Ok((300, "300 JPY".to_owned())));
        for bad in [
            "2.40",
            "EUR 2.40",
            "2.405 EUR",
            "-1 EUR",
            "2,40 EUR",
            ". EUR",
            "1.0 JPY",
            "99999999999999999999 EUR",
        ] {
            assert!(price(bad).is_err(), "{bad}");
        }
    }
}

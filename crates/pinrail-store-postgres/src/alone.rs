//! A connection of one's own, past the pool: for what changes tables and must not go through a transaction-mode pooler.

use tokio_postgres::Client;

use crate::Postgres;
use crate::open::{OpenError, explain};
use crate::options::Options;
use crate::url::Address;

impl Postgres {
    /// Connects to where [`Options::direct_url`] leads, else to [`Options::url`]. Looks at nothing there, and sets no limits but
    /// the name of the application. The connection lives until the client is dropped.
    pub async fn alone(options: &Options, application: &str) -> Result<Client, OpenError> {
        let mut address = Address::parse(options.direct_url.as_ref().unwrap_or(&options.url), options)?;
        address.config.application_name(application);
        let connecting = address.config.connect(address.secure.clone());
        let silent = |_| OpenError::Silent { place: address.place.clone() };
        let connected = tokio::time::timeout(options.connect_timeout(), connecting).await.map_err(silent)?;
        let (client, connection) = connected.map_err(|error| explain(&address, error))?;
        // Whoever waits for an answer is told when it breaks.
        tokio::spawn(async move { drop(connection.await) });
        Ok(client)
    }
}

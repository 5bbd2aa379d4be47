//! `pinrail gate keygen`: a key that statements are signed with. It is printed once and kept nowhere.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pinrail_domain::time::Entropy as _;
use pinrail_gate::statement::SigningKey;
use serde_json::json;

use crate::cli::Context;
use crate::output::talk;
use crate::system::OsEntropy;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Set the line that is printed where the server runs, and name the variable in pinrail.toml:
  [gate]
  signing_key_env = \"PINRAIL_GATE_KEY\"
Give the public key to whoever verifies."
)]
pub struct Args {
    /// The variable to print the key for
    #[arg(long, value_name = "NAME", default_value = "PINRAIL_GATE_KEY")]
    env: String,
}

pub fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let mut seed = [0; 32];
    OsEntropy.fill(&mut seed);
    let public = SigningKey::from_seed(&seed).public();
    let secret = STANDARD.encode(seed);
    let value = json!({
        "env": args.env,
        "secret": secret,
        "public_key": public.to_string(),
        "public_key_pem": public.to_pem(),
        "key_id": public.id(),
    });
    context.out.value(&value, || {
        format!(
            "export {}={secret}\n\npublic key: {public}\nkey id:     {}\n\n{}",
            args.env,
            public.id(),
            public.to_pem()
        )
    })?;
    if !context.out.is_json() {
        talk("the first line is the secret: it is printed this once and kept nowhere");
    }
    Ok(())
}

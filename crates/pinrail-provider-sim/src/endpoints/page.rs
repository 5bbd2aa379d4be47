//! `GET /`: says in plain text what this is.

use axum::extract::State;

use crate::sim::Sim;

/// Explains the simulator to whoever opens its address.
pub async fn show(State(sim): State<Sim>) -> String {
    let models: Vec<String> = sim.world().list().iter().map(|model| format!("  {}\n", model.id)).collect();
    format!(
        "This is Pinrail's simulated model provider. No model is behind it: a script decides what it says,\n\
         how often it is wrong, slow or broken, and when an alias moves. Every answer carries x-pinrail-sim: 1.\n\
         \n\
         It speaks OpenAI's and Anthropic's formats, so set a client's base URL to this address (OpenAI's: plus /v1):\n\
         \n  \
           POST /v1/chat/completions   streaming, tools, usage, fingerprints\n  \
           POST /v1/responses          GET, DELETE /v1/responses/{{id}}\n  \
           POST /v1/messages           POST /v1/messages/count_tokens\n  \
           POST /v1/embeddings\n  \
           GET  /v1/models             GET /v1/models/{{id}}\n\
         \n\
         Models:\n\
         {}\
         \n\
         To watch and to meddle (no real provider has these):\n\
         \n  \
           GET  /sim/state             counters, alias targets, present rates\n  \
           POST /sim/rotate            {{\"alias\": \"sim-1-latest\", \"to\": \"sim-1-2026-06-01\"}}\n  \
           POST /sim/faults            {{\"checkpoint\": \"sim-1-2026-06-01\", \"rates\": {{\"error_rate\": 0.2}}}}\n  \
           POST /sim/reset             back to the script\n\
         \n\
         Try asking: What is 17 + 25?\n",
        models.concat()
    )
}

"""Both vendors' batch APIs, and requests answered at once, as one HTTP server, for tests and for trying things out.

It is never deployed.

In process, behind the real SDKs:

    from provider_simulator.app import Simulator
    from provider_simulator.transport import SimulatorTransport

    with Simulator(clock=lambda: 1_800_000_000.0) as simulator:
        http = httpx2.Client(transport=SimulatorTransport(simulator))
        OpenAI(api_key="sk-a", base_url="http://simulator/openai/v1", http_client=http, max_retries=0)
        Anthropic(api_key="sk-a", base_url="http://simulator/anthropic", http_client=http, max_retries=0)
        simulator.shape(provider="openai", seconds_to_complete=600)
        simulator.fault("reply_lost", provider="openai", operation="create")
        simulator.advance(600)
        simulator.charges()["openai"]["requests"], simulator.charges()["openai"]["realtime"]["requests"]

Over real HTTP: `with serve(simulator) as url` (`provider_simulator.server`), or `python -m provider_simulator`; then
the same controls are at `<url>/control/…`. Did a line get its own answer? With `provider_simulator.answers`:
`expected(endpoint, request_body) == content(endpoint, answer_body)`.
"""

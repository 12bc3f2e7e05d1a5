# What jupyter_kernel_test asks of any kernel, with its samples in TypeScript. Run by frontends-kernel-test.test.ts.

import unittest

import jupyter_kernel_test


class OctavoTests(jupyter_kernel_test.KernelTests):
    kernel_name = "octavo"
    language_name = "typescript"
    file_extension = ".ts"
    code_hello_world = "console.log('hello, world')"
    code_stderr = "console.error('oops')"
    code_generate_error = "throw new Error('no')"
    code_clear_output = "clearOutput()"
    code_inspect_sample = "JSON.stringify"
    # Found three times, and once where each input counts once.
    code_history_pattern = "1?2*"
    supported_history_operations = ("tail", "range", "search")
    completion_samples = [
        {"text": "consol", "matches": {"console"}},
        {"text": "JSON.str", "matches": {"stringify"}},
    ]
    complete_code_samples = ["1", "console.log('a')", "const f = (x: number) => x * 2;"]
    incomplete_code_samples = ["const f = () => {", "`open", "f(1,"]
    invalid_code_samples = ["const = 7", "1 1"]
    code_execute_result = [
        {"code": "1+2+3", "result": "6"},
        {"code": "[1, 2].map((n) => n * n)", "result": "[ 1, 4 ]"},
        {"code": "1+2+3", "result": "6"},
        {"code": "1+2+3", "result": "6"},
    ]
    code_display_data = [
        {"code": "display.html('<b>a</b>');", "mime": "text/html"},
        {"code": "display.markdown('*a*');", "mime": "text/markdown"},
        {"code": "display.image(Buffer.from('89504e470d0a1a0a', 'hex'));", "mime": "image/png"},
    ]


if __name__ == "__main__":
    unittest.main(verbosity=2)

// "Try it": the fields fill the body; a file stands in it by a mark until it is sent.
const IN_INPUT = ["mode", "image_urls", "resolution", "output_format"];

function filled(form) {
  const given = (name) => form.querySelector(`[data-param=${name}]`).value;
  const image = form.querySelector("#p-data").value ? form.dataset.fileMark : given("image");
  const all = {
    mode: given("mode"), image_urls: [image], resolution: given("resolution"), output_format: given("output_format"),
  };
  const input = Object.fromEntries(IN_INPUT.map((name) => [name, all[name]]).filter(([, value]) => value));
  const body = {};
  for (const name of ["request_type", "callback_url"]) if (given(name)) body[name] = given(name);
  return JSON.stringify({ ...body, input }, null, 2);
}

function refill(form) {
  form.querySelector("#p-body").value = filled(form);
}

function choose(form, file) {
  const kept = form.querySelector("#p-data");
  if (!file) { kept.value = ""; refill(form); return; }
  const reader = new FileReader();
  reader.addEventListener("load", () => { kept.value = reader.result; refill(form); });
  reader.readAsDataURL(file);
}

export function start() {
  const form = document.getElementById("try");
  if (!form) return;
  form.addEventListener("input", (event) => {
    if (event.target.matches("[data-param]")) refill(form);
  });
  form.querySelector("#p-file").addEventListener("change", (event) => choose(form, event.target.files[0]));
  form.querySelector("[data-inbox]").addEventListener("click", (event) => {
    form.querySelector("[data-param=callback_url]").value = event.target.dataset.inbox;
    form.querySelector("[data-param=request_type]").value = "callback";
    refill(form);
  });
}

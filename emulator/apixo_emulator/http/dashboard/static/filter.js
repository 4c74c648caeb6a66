// A filter form shows what fits while it is filled in; the address follows, to be kept or sent.
const PAUSE_MS = 200;
let timer = 0;

async function apply(form) {
  const query = new URLSearchParams(new FormData(form));
  for (const [name, value] of [...query]) if (!value) query.delete(name);
  const address = `${form.getAttribute("action").split("?")[0]}${query.size ? `?${query}` : ""}`;
  history.replaceState(null, "", address);
  await htmx.ajax("GET", address, {
    source: form, target: document.body, swap: "none", selectOOB: `#${form.dataset.filters}:outerMorph`,
  });
}

export function start() {
  document.addEventListener("input", (event) => {
    const form = event.target.closest("form[data-filters]");
    if (!form) return;
    clearTimeout(timer);
    timer = setTimeout(() => apply(form), PAUSE_MS);
  });
  document.addEventListener("submit", (event) => {
    if (!event.target.matches("form[data-filters]")) return;
    event.preventDefault();
    clearTimeout(timer);
    apply(event.target);
  });
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-submits]")) event.target.form.requestSubmit();
  });
}

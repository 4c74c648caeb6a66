// A picture in full, over the page: fitted, or pixel by pixel.
function open(button) {
  const dialog = document.createElement("dialog");
  dialog.className = "zoom";
  dialog.setAttribute("aria-label", button.getAttribute("aria-label"));
  const picture = document.createElement("img");
  picture.src = button.dataset.zoom;
  picture.alt = button.querySelector("img").alt;
  const frame = document.createElement("div");
  frame.className = "frame";
  frame.tabIndex = 0;
  frame.setAttribute("role", "group");
  frame.setAttribute("aria-label", "The picture");
  frame.append(picture);
  const size = press("Actual size", () => {
    const actual = frame.classList.toggle("actual");
    size.textContent = actual ? "Fit" : "Actual size";
    if (actual) frame.scrollTo((frame.scrollWidth - frame.clientWidth) / 2, (frame.scrollHeight - frame.clientHeight) / 2);
  });
  const line = document.createElement("div");
  line.className = "buttons";
  line.append(size, press("Close", () => dialog.close()));
  dialog.append(line, frame);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

function press(text, act) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = text;
  button.addEventListener("click", act);
  return button;
}

export function start() {
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-zoom]");
    if (button) open(button);
  });
}

"use strict";
// Reads curves where they are pointed at. All that is told is in the page; nothing is fetched.

const data = JSON.parse(document.getElementById("data").textContent);
const charts = [...document.querySelectorAll(".curves")];
const readout = document.getElementById("readout");

function nearest(step) {
  let [low, high] = [0, data.steps.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (data.steps[middle] < step) low = middle + 1;
    else high = middle;
  }
  const before = low > 0 && step - data.steps[low - 1] < data.steps[low] - step;
  return before ? low - 1 : low;
}

for (const chart of charts) {
  chart.addEventListener("pointermove", (event) => {
    if (!data.steps.length) return;
    const box = chart.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * chart.viewBox.baseVal.width;
    const last = data.steps[data.steps.length - 1];
    const at = nearest(((x - data.left) / (data.right - data.left)) * last);
    const place = data.left + (data.steps[at] / last) * (data.right - data.left);
    for (const other of charts) {
      const cursor = other.querySelector(".cursor");
      cursor.style.visibility = "visible";
      cursor.setAttribute("x1", place);
      cursor.setAttribute("x2", place);
    }
    readout.textContent = ["step " + data.steps[at].toLocaleString("en"), "loss " + data.loss[at].toFixed(4), "rate " + data.lr[at].toExponential(2),
      "gradient norm " + data.grad_norm[at], data.images_per_s[at] + " images/s", "waits " + data.data_wait[at] + " s"].join("  ·  ");
  });
}

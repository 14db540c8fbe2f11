// The slider: the border between both pictures follows it, in what is visible of them.
(() => {
  const place = (pair) => {
    const view = pair.querySelector(".view");
    const at = view.scrollLeft + (view.clientWidth * pair.querySelector("input").value) / 100;
    view.querySelector(".after").style.setProperty("--at", `${at}px`);
  };
  const follow = (event) => {
    const pair = event.target.closest?.(".pair");
    if (pair) place(pair);
  };
  const load = (event) => {
    const image = event.target;
    if (!image.matches?.(".view img")) return;
    image.style.width = `${image.naturalWidth / window.devicePixelRatio}px`;
    place(image.closest(".pair"));
  };
  // While they are captured, as neither bubbles.
  document.addEventListener("input", follow, true);
  document.addEventListener("scroll", follow, true);
  document.addEventListener("load", load, true);
})();

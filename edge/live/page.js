// The live view of one camera: WebRTC first, pictures where that does not work, and a plain word where nothing does.
"use strict";
(() => {
  const CALL_MS = 8000; // so long for the first picture by WebRTC
  const STALL_MS = 6000; // so long without a new one
  const TEXTS = {
    en: {
      calling: "Connecting …", webrtc: "Live", mjpeg: "Pictures", over: "The time of this view is over.",
      again: "Try again", left: "ends in {0}", figures: "{0} × {1}, {2} pictures/s",
      no_grant: "This address has been used. Ask for the picture again.",
      malformed: "This address is not whole. Ask for the picture again.",
      signature: "This address was not made by the central office.",
      other_edge: "This address is for another place.", other_camera: "This address is for another camera.",
      expired: "This address is too old. Ask for the picture again.",
      clock: "The clock of this checkpoint is not set: it cannot tell whether you may look.",
      replayed: "This address has been used. Ask for the picture again.",
      unrecorded: "The checkpoint cannot record who looks, so it shows nothing.",
      full: "As many as may look are looking. Try again later.",
      no_camera: "There is no such camera here.", camera: "The camera gives no picture.", other: "It does not work: {0}",
    },
    zh: {
      calling: "正在连接……", webrtc: "实时视频", mjpeg: "图片方式", over: "本次查看时间已到。",
      again: "重试", left: "剩余 {0}", figures: "{0} × {1}，每秒 {2} 帧",
      no_grant: "该地址已使用过，请重新申请查看。", malformed: "该地址不完整，请重新申请查看。",
      signature: "该地址不是由中心签发的。", other_edge: "该地址属于其他站点。", other_camera: "该地址属于其他摄像机。",
      expired: "该地址已过期，请重新申请查看。", clock: "本站点时钟未校准，无法判断查看权限是否有效。",
      replayed: "该地址已使用过，请重新申请查看。", unrecorded: "站点无法记录查看人，因此不显示画面。",
      full: "观看人数已满，请稍后再试。", no_camera: "这里没有该摄像机。", camera: "摄像机没有画面。", other: "无法查看：{0}",
    },
  };
  const language = navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
  const say = (key, ...values) =>
    (TEXTS[language][key] ?? TEXTS[language].other).replace(/\{(\d)\}/g, (_, place) => String(values[place] ?? key));
  const at = (id) => document.getElementById(id);
  const [video, picture, again] = [at("video"), at("picture"), at("again")];
  const camera = location.pathname.split("/").pop();
  const base = `${location.pathname.slice(0, location.pathname.length - camera.length)}${camera}`;
  let grant = location.hash.slice(1);
  history.replaceState(null, "", location.pathname); // the grant stays out of the history
  let call = null;
  let endsAt = 0;

  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  document.title = at("camera").textContent = decodeURIComponent(camera);
  again.textContent = say("again");
  again.addEventListener("click", start);

  function show(way, words) {
    document.documentElement.dataset.way = way;
    at("state").textContent = words;
    video.hidden = way !== "webrtc";
    picture.hidden = way !== "mjpeg";
    again.hidden = way !== "refused";
  }

  async function ask(sdp) {
    const body = JSON.stringify({ sdp, ...(grant && { grant }) });
    const answer = await fetch(`${base}/offer`, {
      method: "POST", body, headers: { "Content-Type": "application/json" }, credentials: "same-origin",
    });
    grant = ""; // it serves once; from here on a cookie does
    const told = await answer.json();
    if (!answer.ok) throw Object.assign(new Error(told.title), { why: told.why });
    endsAt = performance.now() + told.until_s * 1000;
    return told;
  }

  function gathered(connection) {
    return new Promise((resolve) => {
      if (connection.iceGatheringState === "complete") return resolve();
      connection.addEventListener("icegatheringstatechange", () => {
        if (connection.iceGatheringState === "complete") resolve();
      });
      setTimeout(resolve, 1000);
    });
  }

  async function start() {
    hangUp();
    show("calling", say("calling"));
    try {
      if (!window.RTCPeerConnection) {
        await ask("");
        return pictures();
      }
      await callUp();
    } catch (error) {
      const lasting = ["camera", "codec", "offer", "not_installed", undefined];
      if (lasting.includes(error.why) && !(error instanceof TypeError)) return pictures();
      show("refused", say(error.why ?? "other", error.message));
    }
  }

  async function callUp() {
    const connection = new RTCPeerConnection({ iceServers: [] });
    call = { connection, pictures: 0, movedAt: performance.now(), timer: 0 };
    connection.addTransceiver("video", { direction: "recvonly" });
    connection.addEventListener("track", (event) => {
      event.receiver.jitterBufferTarget = 0;
      video.srcObject = new MediaStream([event.track]);
      video.play().catch(() => {});
    });
    await connection.setLocalDescription(await connection.createOffer());
    await gathered(connection);
    const { sdp } = await ask(connection.localDescription.sdp);
    await connection.setRemoteDescription({ type: "answer", sdp });
    call.movedAt = performance.now();
    call.timer = setInterval(watch, 1000, call);
  }

  async function watch(mine) {
    const stats = [...(await mine.connection.getStats()).values()].find((one) => one.type === "inbound-rtp");
    if (mine !== call) return;
    const now = performance.now();
    const decoded = stats?.framesDecoded ?? 0;
    if (decoded > mine.pictures) {
      at("figures").textContent = say("figures", stats.frameWidth, stats.frameHeight, decoded - mine.pictures);
      mine.pictures = decoded;
      mine.movedAt = now;
      if (document.documentElement.dataset.way !== "webrtc") show("webrtc", say("webrtc"));
    } else if (now - mine.movedAt > (decoded ? STALL_MS : CALL_MS)) {
      pictures();
    }
    remaining(now);
  }

  function pictures() {
    hangUp();
    at("figures").textContent = "";
    picture.onerror = () => show(over() ? "over" : "refused", over() ? say("over") : say("camera"));
    picture.onload = () => show("mjpeg", say("mjpeg"));
    picture.src = `${base}/mjpeg?${Date.now()}`;
    picture.hidden = false;
  }

  function hangUp() {
    if (call) {
      clearInterval(call.timer);
      call.connection.close();
      call = null;
    }
    video.srcObject = null;
    picture.onerror = picture.onload = null;
    picture.removeAttribute("src");
  }

  const over = () => endsAt > 0 && performance.now() >= endsAt;

  function remaining(now) {
    const left = Math.max(0, Math.round((endsAt - now) / 1000));
    at("left").textContent = endsAt ? say("left", `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`) : "";
  }

  setInterval(() => {
    remaining(performance.now());
    if (over() && document.documentElement.dataset.way !== "over") {
      hangUp();
      show("over", say("over"));
    }
  }, 1000);
  addEventListener("pagehide", () => navigator.sendBeacon(`${base}/leave`));
  start();
})();

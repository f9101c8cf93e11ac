import { useMemo, useRef, useState } from "react";
import { flushSync } from "react-dom";
import { sentence } from "../api";
import type { Member, Room } from "../model";
import { activeMembers } from "../store/members";
import { Avatar } from "./Avatar";
import { useChat, useChatState, useRole, useRoomState } from "./context";
import { Dialog } from "./Dialog";
import { CloseIcon, PlusIcon } from "./icons";
import { moderates } from "./MessageRow";
import { useAction } from "./useAction";
import { UserSearch } from "./UserSearch";

type Props = { room: Room; onVisit: (room: string) => void; onClose: () => void };

/** The right column: who belongs to the room, who is online, who has it open. */
export function Members({ room, onVisit, onClose }: Props) {
  const chat = useChat();
  const known = useRoomState(room.id).members;
  const members = useMemo(() => activeMembers(known), [known]);
  const here = useChatState((state) => state.here);
  const live = useChatState((state) => state.link === "live");
  const column = useRef<HTMLElement>(null);
  const [adding, setAdding] = useState(false);
  const [asking, setAsking] = useState<Member | "leave" | null>(null);
  const attempt = (action: () => Promise<unknown>) => void action().catch((e: unknown) => chat.notice(sentence(e)));
  const remove = (member: Member) => {
    column.current?.focus({ preventScroll: true }); // the button goes with the person
    attempt(() => chat.removeMember(room.id, member.user.id));
  };
  const present = members.filter((m) => here.has(m.user.id));
  const away = members.filter((m) => !here.has(m.user.id));
  const item = (member: Member) => (
    <Person key={member.user.id} member={member} room={room}
      onWrite={() => attempt(async () => onVisit((await chat.direct(member.user.id)).id))}
      onRemove={() => setAsking(member)} />
  );

  return (
    <aside ref={column} className="people column" data-testid="people" aria-label="People" tabIndex={-1}>
      <header className="people-head">
        <h2>People</h2>
        {room.kind !== "direct" && (
          <button className="ghost" aria-label="Add people" title="Add people" onClick={() => setAdding(true)}><PlusIcon /></button>
        )}
        <button className="ghost narrow-only" aria-label="Close people" onClick={onClose}><CloseIcon /></button>
      </header>
      <div className="scroll">
        <PeopleSection title="Here now" count={present.length}>{present.map(item)}</PeopleSection>
        <PeopleSection title={live ? "Not here" : "Members"} count={away.length}>{away.map(item)}</PeopleSection>
      </div>
      {room.kind !== "direct" && room.id !== chat.store.get().general && (
        <button className="ghost leave" data-testid="leave"
          onClick={() => (room.kind === "closed" ? setAsking("leave") : attempt(() => chat.leave(room.id)))}>Leave room</button>
      )}
      {asking === "leave" && (
        <Question title={`Leave #${room.name}?`} text="The room is closed: you come back only when a member adds you." action="Leave" stay="Stay"
          onClose={() => setAsking(null)} onYes={() => attempt(() => chat.leave(room.id))} />
      )}
      {asking !== null && asking !== "leave" && (
        <Question title={`Remove ${asking.user.name}?`} text={`${asking.user.name} can no longer read or write in #${room.name}.`} action="Remove" stay="Keep"
          onClose={() => setAsking(null)} onYes={() => remove(asking)} />
      )}
      {adding && <AddPeople room={room} members={members} onClose={() => setAdding(false)} />}
    </aside>
  );
}

type QuestionProps = { title: string; text: string; action: string; stay: string; onClose: () => void; onYes: () => void };

/** Asks before something that cannot be taken back by oneself. */
function Question({ title, text, action, stay, onClose, onYes }: QuestionProps) {
  return (
    <Dialog title={title} onClose={onClose}>
      <p>{text}</p>
      <div className="dialog-buttons">
        <button data-autofocus onClick={onClose}>{stay}</button>
        <button className="danger" data-testid="confirm" onClick={() => { flushSync(onClose); onYes(); }}>{action}</button>
      </div>
    </Dialog>
  );
}

function PeopleSection({ title, count, children }: { title: string; count: number; children: React.ReactNode }) {
  if (count === 0) return null;
  return (
    <section className="section" aria-label={title}>
      <header><h3>{title}</h3><span className="quiet">{count}</span></header>
      <ul>{children}</ul>
    </section>
  );
}

type PersonProps = { member: Member; room: Room; onWrite: () => void; onRemove: () => void };

function Person({ member, room, onWrite, onRemove }: PersonProps) {
  const { user, role } = member;
  const me = useChatState((state) => state.me);
  const here = useChatState((state) => state.here.has(user.id));
  const online = useChatState((state) => state.online.has(user.id) || state.here.has(user.id) ||
    (user.id === state.me.id && state.link === "live"));
  const mayRemove = user.id !== me.id && moderates(room, useRole(room), me.admin);
  const notes = [...(user.id === me.id ? ["you"] : []), ...(role === "owner" ? ["owner"] : [])];
  const status = here ? "here" : online ? "online" : "offline";
  return (
    <li className="person" data-testid="person" data-user-id={user.id} data-online={online} data-here={here}>
      <span className="with-dot"><Avatar user={user} small /><i className={`dot ${status}`} aria-hidden="true" /></span>
      <span className="person-name" title={user.name}>
        {user.name}{notes.length > 0 && <small> {notes.join(", ")}</small>}
        <span className="unseen">, {status}</span>
      </span>
      {user.id !== me.id && room.kind !== "direct" && (
        <span className="person-actions">
          <button className="ghost" aria-label={`Write to ${user.name}`} onClick={onWrite}>Write</button>
          {mayRemove && <button className="ghost" aria-label={`Remove ${user.name}`} title="Remove from the room" onClick={onRemove}><CloseIcon /></button>}
        </span>
      )}
    </li>
  );
}

function AddPeople({ room, members, onClose }: { room: Room; members: Member[]; onClose: () => void }) {
  const chat = useChat();
  const { busy, problem, run } = useAction();
  const without = useMemo(() => new Set(members.map((m) => m.user.id)), [members]);
  return (
    <Dialog title={`Add people to ${room.name}`} onClose={onClose}>
      <UserSearch action="Add" disabled={busy} without={without}
        onPick={(user) => run(() => chat.addMember(room.id, user.name))} />
      <p className="problem" role="alert">{problem}</p>
    </Dialog>
  );
}

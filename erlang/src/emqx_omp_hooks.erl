%% Hooks to frames, in the client's process; puts them in and takes them out.
%%
%% Each hook begins with a look whether it concerns us, and what goes wrong in it is logged and harms nobody
%% (guarded/3).
-module(emqx_omp_hooks).

-include("emqx_omp_session.hrl").

-export([put_in/0, take_out/0, take_out_last/0, set_settings/1, settings/0, puback_code/3]).
-export([on_client_connected/2, on_client_disconnected/3, on_client_timeout/3]).
-export([on_session_resumed/2, on_session_terminated/3, on_session_discarded/2, on_session_takenover/2]).
-export([on_session_subscribed/3, on_session_unsubscribed/3]).
-export([on_message_publish/1, on_message_puback/4, on_message_delivered/2, on_message_acked/2, on_message_nack/2]).
-export([on_delivery_dropped/3]).

-define(HOOKS, [
    {'client.connected', {?MODULE, on_client_connected}},
    {'client.disconnected', {?MODULE, on_client_disconnected}},
    {'client.timeout', {?MODULE, on_client_timeout}},
    {'session.resumed', {?MODULE, on_session_resumed}},
    {'session.terminated', {?MODULE, on_session_terminated}},
    {'session.discarded', {?MODULE, on_session_discarded}},
    {'session.takenover', {?MODULE, on_session_takenover}},
    {'session.subscribed', {?MODULE, on_session_subscribed}},
    {'session.unsubscribed', {?MODULE, on_session_unsubscribed}},
    {'message.publish', {?MODULE, on_message_publish}},
    {'message.puback', {?MODULE, on_message_puback}},
    {'message.delivered', {?MODULE, on_message_delivered}},
    {'message.acked', {?MODULE, on_message_acked}},
    {'message.nack', {?MODULE, on_message_nack}},
    {'delivery.dropped', {?MODULE, on_delivery_dropped}}
]).
-define(SETTINGS, {emqx_omp, settings}).
%% Until the engine has said otherwise, once: nothing is let through unstored that might have to be.
-define(UNKNOWN, #{filters => [<<"#">>], ignores => false, is_async => false, acknowledges => false, timeout => 5000}).
%% For so long after a subscription that the engine did not know when messages were routed, it is told what is
%% delivered, in ms.
-define(TELLING, 5000).

put_in() ->
    emqx_omp_log:start(),
    emqx_omp_emqx:put_hooks(?HOOKS).

%% All but the one by which gates open, which is put in again: with it, the others are out. Then that one.
take_out() ->
    {Last, Others} = lists:partition(fun({Name, _}) -> Name =:= 'client.timeout' end, ?HOOKS),
    emqx_omp_emqx:delete_hooks(Others),
    emqx_omp_emqx:put_hooks(Last).

take_out_last() -> emqx_omp_emqx:delete_hooks(?HOOKS).

%% What the frame SETTINGS says: the topic filters of what is stored, whether on_store_error is `ignore`, publish_ack
%% `async` and on_unstorable `acknowledge`, and the ms until an answer comes no more.
set_settings(Settings) ->
    settings() =:= Settings orelse persistent_term:put(?SETTINGS, Settings),
    ok.

settings() -> persistent_term:get(?SETTINGS, ?UNKNOWN).

%%% Publish

on_message_publish(Message) ->
    case emqx_omp_emqx:concerns(Message) of
        true -> publish(Message, settings());
        false -> {ok, Message}
    end.

publish(Message, #{filters := Filters, ignores := Ignore, is_async := IsAsync, timeout := Timeout}) ->
    guarded(
        'message.publish',
        fun() ->
            case emqx_omp_emqx:matches(Message, Filters) of
                true -> decide(ask(IsAsync, emqx_omp_emqx:client(Message), Message, Timeout), Ignore, Message);
                false -> {ok, Message}
            end
        end,
        fun() -> decide(unreachable, Ignore, Message) end
    ).

%% Only PUBACK of QoS 1 can be kept back without the publisher's process.
ask(true, {mqtt, _, 1} = Client, Message, Timeout) ->
    #{from := ClientId} = Frame = emqx_omp_emqx:message(Message),
    Before = {node(), erlang:monotonic_time()},
    case emqx_omp_publishes:publish_async(ClientId, Frame) of
        busy -> ask(false, Client, Message, Timeout);
        {asked, Connection, Ticket} -> {asked, Connection, Ticket, Before};
        Answer -> Answer
    end;
ask(_, _, Message, Timeout) ->
    #{from := ClientId} = Frame = emqx_omp_emqx:message(Message),
    emqx_omp_publishes:publish(ClientId, Frame, Timeout).

decide({asked, Connection, Ticket, Before}, _, Message) ->
    put(omp_asked, {emqx_omp_emqx:id(Message), Connection, Ticket}),
    {ok, emqx_omp_emqx:mark({pending, Before}, Message)};
decide({stored, Number, false}, _, Message) ->
    {ok, emqx_omp_emqx:mark({stored, Number}, Message)};
decide({stored, Number, true}, _, Message) ->
    {ok, emqx_omp_emqx:mark({shared, Number}, Message)};
decide(pass, _, Message) ->
    {ok, Message};
decide({refused, IsTemporary, Acknowledge, Code, Delay}, _, Message) ->
    %% Only a client's own process waits: another one (a rule, $delayed) would hold up what is others'.
    get(omp_session) =:= undefined orelse timer:sleep(Delay),
    {stop, refuse(emqx_omp_emqx:client(Message), IsTemporary, Acknowledge, Code, Message)};
decide(unreachable, true, Message) ->
    {ok, Message};
decide(unreachable, false, Message) ->
    is_tuple(emqx_omp_emqx:client(Message)) orelse emqx_omp_log:lost(emqx_omp_emqx:topic_of(Message)),
    decide({refused, true, false, 16#83, 0}, false, Message).

%% What is refused is not routed. What its publisher sees of it depends on what MQTT has for it.
refuse(Client, _, _, _, Message) when Client =:= none; Client =:= other ->
    emqx_omp_emqx:refuse(Message, #{});
refuse({mqtt, 5, 1}, _, _, Code, Message) ->
    put(omp_refused, {emqx_omp_emqx:id(Message), Code}),
    emqx_omp_emqx:refuse(Message, #{});
refuse(_, false, true, _, Message) ->
    emqx_omp_emqx:refuse(Message, #{});
refuse(_, _, _, _, Message) ->
    emqx_omp_emqx:refuse(Message, #{should_disconnect => true}).

%% QoS 1 only: the reason code of a refusal goes into PUBACK; or PUBACK waits for the answer.
on_message_puback(PacketId, Message, Routes, ReasonCode) ->
    case {erase(omp_refused), erase(omp_asked)} of
        {undefined, undefined} ->
            {ok, ReasonCode};
        {Refused, Asked} ->
            Id = emqx_omp_emqx:id(Message),
            case {Refused, Asked} of
                {{Id, Code}, _} -> {stop, Code};
                {_, {Id, Connection, Ticket}} -> keep_back(Connection, Ticket, Message, {PacketId, Routes, ReasonCode});
                _ -> {ok, ReasonCode}
            end
    end.

keep_back(Connection, Ticket, Message, {_, _, Code} = Puback) ->
    {mqtt, Version, _} = emqx_omp_emqx:client(Message),
    case guarded('message.puback', fun() -> emqx_omp_publishes:puback(Connection, Ticket, Version, Puback) end) of
        held ->
            {stop, undefined};
        _ ->
            case puback_code(Version, Code, unreachable) of
                {code, Released} ->
                    {stop, Released};
                disconnect ->
                    self() ! {disconnect, 16#83, implementation_specific_error, #{}},
                    {stop, undefined}
            end
    end.

%% What a PUBACK that waited says: its own code, or that of the refusal; for MQTT 3.1.1 there is none.
puback_code(Version, Code, Answer) ->
    #{ignores := Ignore} = settings(),
    case Answer of
        {refused, _, _, Refused, _} when Version =:= 5 -> {code, Refused};
        {refused, false, true, _, _} -> {code, Code};
        {refused, _, _, _, _} -> disconnect;
        unreachable when Ignore -> {code, Code};
        unreachable when Version =:= 5 -> {code, 16#83};
        unreachable -> disconnect;
        _ -> {code, Code}
    end.

%%% Sessions

%% Before client.connected, which has no subscriptions. It never comes in the process of a session that another node has
%% been rid of: that waits here for its client, and is away.
on_session_resumed(#{protocol := mqtt, clientid := ClientId}, Info) ->
    emqx_omp_emqx:is_utf8(ClientId) andalso put(omp_resumed, emqx_omp_emqx:subscriptions(Info)),
    ok;
on_session_resumed(_, _) ->
    ok.

on_client_connected(#{protocol := mqtt, clientid := ClientId} = ClientInfo, ConnInfo) ->
    Resumed = erase(omp_resumed),
    guarded('client.connected', fun() ->
        emqx_omp_client:is_told_of(ClientId) andalso connected(ClientInfo, ConnInfo, Resumed)
    end);
on_client_connected(_, _) ->
    ok.

connected(#{clientid := ClientId} = ClientInfo, ConnInfo, Resumed) ->
    {Subscriptions, IsResumed} =
        case Resumed of
            undefined -> {[], false};
            _ -> {Resumed, true}
        end,
    Session = emqx_omp_client:start_session(ClientInfo, ConnInfo, IsResumed),
    emqx_omp_held:close_all(Session, resumed, Subscriptions),
    tell_deliveries([open || {0, _} <- emqx_omp_sessions:subscriptions(Session)] =/= []),
    emqx_omp_connection:send_connected(ClientId, Session, false).

on_client_disconnected(#{clientid := ClientId}, _Reason, ConnInfo) ->
    session('client.disconnected', fun(Session) ->
        LivesOn = emqx_omp_client:outlives(ConnInfo),
        gone_away(ClientId, Session, LivesOn),
        LivesOn andalso emqx_omp_held:away(Session)
    end).

%% Once for each session: EMQX may say it in several hooks.
gone_away(ClientId, Session, LivesOn) ->
    case emqx_omp_sessions:find(Session) of
        #session{is_away = false} ->
            emqx_omp_sessions:away(Session),
            emqx_omp_connection:send(ClientId, {disconnected, Session, LivesOn});
        _ ->
            ok
    end.

on_session_terminated(#{clientid := ClientId}, _Reason, _Info) ->
    session('session.terminated', fun(Session) -> ended(ClientId, Session) end).

on_session_discarded(#{clientid := ClientId}, _Info) ->
    session('session.discarded', fun(Session) -> ended(ClientId, Session) end).

ended(ClientId, Session) ->
    gone_away(ClientId, Session, false),
    emqx_omp_sessions:delete(Session),
    erase(omp_session),
    emqx_omp_connection:send(ClientId, {ended, Session}).

%% Another process has the session from now on.
on_session_takenover(#{clientid := ClientId}, _Info) ->
    session('session.takenover', fun(Session) ->
        gone_away(ClientId, Session, true),
        emqx_omp_held:taken_over(Session, ClientId),
        emqx_omp_sessions:delete(Session)
    end).

on_session_subscribed(#{clientid := ClientId}, Topic, Options) ->
    subscription('session.subscribed', Topic, Options, fun(Session, Subscription) ->
        Gate = emqx_omp_held:close(Session, Topic, Subscription),
        tell_deliveries(Gate =:= 0),
        emqx_omp_connection:send(ClientId, {subscribed, Session, maps:get(is_new, Options, true), Gate, Subscription})
    end).

on_session_unsubscribed(#{clientid := ClientId}, Topic, Options) ->
    subscription('session.unsubscribed', Topic, Options, fun(Session, #{filter := Filter}) ->
        emqx_omp_sessions:unsubscribe(Session, Filter),
        emqx_omp_held:let_go(Topic),
        emqx_omp_connection:send(ClientId, {unsubscribed, Session, Filter})
    end).

%% Nothing of a subscription that no frame has room for.
subscription(Hook, Topic, Options, Work) ->
    session(Hook, fun(Session) ->
        Subscription = emqx_omp_emqx:subscription(Topic, Options),
        emqx_omp_emqx:is_text(Subscription) andalso Work(Session, Subscription)
    end).

on_client_timeout(_Ref, {omp, Request}, Result) ->
    guarded('client.timeout', fun() -> emqx_omp_client:done(Request) end),
    {stop, Result};
on_client_timeout(_, _, Result) ->
    {ok, Result}.

%%% Deliveries. Only messages with our mark make frames.

on_message_delivered(#{clientid := ClientId}, Message) ->
    session('message.delivered', fun(_) -> emqx_omp_held:sent(Message) end),
    marked('message.delivered', Message, fun(Session, Mark, #{id := Id, topic := Topic, qos := QoS} = Delivered) ->
        QoS > 0 andalso emqx_omp_sessions:hold(Session, Id, Topic),
        case is_to_be_told(QoS, Mark, Delivered) of
            true ->
                #{retained := IsRetained} = Delivered,
                Frame = {delivered, Session, QoS, IsRetained, Mark =:= {replayed, 0}, Id, Topic},
                emqx_omp_connection:send(ClientId, Frame);
            false ->
                ok
        end
    end),
    {ok, Message}.

is_to_be_told(_, _, #{dup := true}) -> false;
is_to_be_told(_, _, #{retained := true}) -> true;
is_to_be_told(0, {replayed, _}, _) -> true;
is_to_be_told(0, _, _) -> false;
is_to_be_told(_, {shared, _}, _) -> true;
is_to_be_told(_, _, _) -> is_telling(get(omp_telling)) orelse emqx_omp_connection:is_new(?TELLING).

is_telling(undefined) ->
    false;
is_telling(Until) ->
    Is = erlang:monotonic_time(millisecond) < Until,
    Is orelse erase(omp_telling),
    Is.

tell_deliveries(true) -> put(omp_telling, erlang:monotonic_time(millisecond) + ?TELLING);
tell_deliveries(false) -> ok.

on_message_acked(#{clientid := ClientId}, Message) ->
    marked('message.acked', Message, fun(Session, _, #{id := Id, topic := Topic}) ->
        emqx_omp_sessions:release(Session, Id),
        emqx_omp_connection:send(ClientId, {acked, Session, Id, Topic})
    end).

on_delivery_dropped(#{clientid := ClientId}, Message, Reason) ->
    marked('delivery.dropped', Message, fun(Session, _, #{id := Id, topic := Topic}) ->
        emqx_omp_sessions:release(Session, Id),
        emqx_omp_connection:send(ClientId, {dropped, Session, Reason, Id, Topic})
    end).

%% EMQX 6: a session that is away, or is being taken over, must not queue what is stored: it comes from the store.
on_message_nack(Message, IsRefused) ->
    guarded(
        'message.nack',
        fun() ->
            case emqx_omp_emqx:mark(Message) =/= undefined andalso away() of
                false ->
                    {ok, IsRefused};
                true ->
                    {ok, true};
                Session ->
                    tell_kept_out(Session, Message),
                    {ok, true}
            end
        end,
        fun() -> {ok, IsRefused} end
    ).

%% The session's row, or whether it is one that is not told.
away() ->
    case is_integer(get(omp_session)) andalso emqx_omp_sessions:find(get(omp_session)) of
        #session{is_away = true} = Session ->
            Session;
        #session{client_id = ClientId} = Session ->
            not emqx_omp_emqx:is_channel(ClientId, self()) andalso Session;
        _ ->
            is_list(get(omp_resumed))
    end.

%% The engine may have counted it as pushed. What it numbered after it knew that the client is away, it has not.
tell_kept_out(#session{number = Session, client_id = ClientId}, Message) ->
    case {emqx_omp_emqx:mark(Message), get(omp_released)} of
        {{stored, Number}, Released} when is_integer(Released), Number > Released -> ok;
        {{shared, Number}, Released} when is_integer(Released), Number > Released -> ok;
        _ -> emqx_omp_client:dropped(Session, ClientId, away, Message)
    end.

%%% Guards

%% Work for a marked message in the process of a session that has a number.
marked(Hook, Message, Work) ->
    case emqx_omp_emqx:mark(Message) of
        undefined -> ok;
        Mark -> session(Hook, fun(Session) -> Work(Session, Mark, emqx_omp_emqx:delivered(Message)) end)
    end.

session(Hook, Work) ->
    case get(omp_session) of
        undefined -> ok;
        Session -> guarded(Hook, fun() -> Work(Session) end)
    end.

guarded(Hook, Work) -> guarded(Hook, Work, fun() -> ok end).

guarded(Hook, Work, Otherwise) ->
    try
        Work()
    catch
        Class:Reason:Stack ->
            emqx_omp_log:failed(Hook, Class, Reason, Stack),
            Otherwise()
    end.
